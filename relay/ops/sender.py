"""One sending: documents become messages, messages are published, and each is accounted for."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Protocol

from relay.aws.errors import AwsError
from relay.aws.publisher import Publisher
from relay.aws.sqs_values import Failed, Outgoing, Sent
from relay.ops.documents import Document, InvalidDocument, MessageTemplate

WINDOW_MESSAGES = 80
WINDOW_BYTES = 8 * 1_048_576
"""What is read ahead and on its way at once: eight full batches."""


@dataclass(slots=True)
class SendCounts:
    """What became of the documents so far.

    `refused` are not fit to be sent, `failed` are not in the queue for another reason. `stopped` is
    why the input from `stopped_at` on was left alone, or None. `reached` is where in the input the
    last document is of which anything is known.
    """

    sent: int = 0
    refused: int = 0
    failed: int = 0
    possible_duplicates: int = 0
    stopped: AwsError | None = None
    stopped_at: str = ""
    reached: str = ""

    @property
    def complete(self) -> bool:
        """Whether the queue has every document."""
        return not (self.refused or self.failed or self.stopped)


class SendObserver(Protocol):
    """Whoever is told how it goes."""

    def complain(self, where: str, why: str) -> None:
        """Hear that the document there is not in the queue."""

    def progress(self, tally: SendCounts) -> None:
        """Hear what became of the documents so far."""


class Sender:
    """Carries documents to a queue, in order and in windows, so that memory is bounded."""

    def __init__(
        self, draft: MessageTemplate, publisher: Publisher, observer: SendObserver
    ) -> None:
        self._draft = draft
        self._publisher = publisher
        self._observer = observer
        self.tally = SendCounts()

    async def run(self, documents: Iterable[Document]) -> SendCounts:
        """Send all. Stops early where nothing more can be sent."""
        for window in _windows(self._fit(documents)):
            results = await self._publisher.publish([message for _, message in window])
            self.tally.stopped = self._publisher.stopped
            for (where, _), result in zip(window, results, strict=True):
                self._account(where, result)
            self.tally.possible_duplicates = self._publisher.possible_duplicates
            self._observer.progress(self.tally)
            if self.tally.stopped:
                break
        return self.tally

    def _account(self, where: str, result: Sent | Failed) -> None:
        self.tally.reached = where
        if isinstance(result, Sent):
            self.tally.sent += 1
            return
        self.tally.failed += 1
        # What stopped the sending is told once, not for every message that it left behind.
        if self.tally.stopped and result.sentence == self.tally.stopped.sentence:
            self.tally.stopped_at = self.tally.stopped_at or where
        else:
            self._observer.complain(where, result.sentence)

    def _fit(self, documents: Iterable[Document]) -> Iterator[tuple[str, Outgoing]]:
        for document in documents:
            try:
                yield document.where, self._draft.message(document)
            except InvalidDocument as error:
                self.tally.refused += 1
                self._observer.complain(document.where, str(error))


def _windows(
    messages: Iterable[tuple[str, Outgoing]],
) -> Iterator[list[tuple[str, Outgoing]]]:
    window: list[tuple[str, Outgoing]] = []
    size = 0
    for entry in messages:
        window.append(entry)
        size += entry[1].size
        if len(window) == WINDOW_MESSAGES or size >= WINDOW_BYTES:
            yield window
            window, size = [], 0
    if window:
        yield window
