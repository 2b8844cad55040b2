"""Send documents to a queue in order, with bounded memory, and count the results."""

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
"""The most that is read ahead and in flight at once: eight full batches."""


@dataclass(slots=True)
class SendCounts:
    """The results so far.

    Attributes:
        sent: documents that are in the queue.
        invalid: documents that were not sent because the relay would reject them.
        failed: documents that are not in the queue for another reason.
        possible_duplicates: messages that may be in the queue twice.
        stopped: why the rest of the input was not sent, or None.
        stopped_at: the position in the input from which nothing was sent.
        reached: the position in the input of the last document with a known result.
    """

    sent: int = 0
    invalid: int = 0
    failed: int = 0
    possible_duplicates: int = 0
    stopped: AwsError | None = None
    stopped_at: str = ""
    reached: str = ""

    @property
    def complete(self) -> bool:
        """Whether every document is in the queue."""
        return not (self.invalid or self.failed or self.stopped)


class SendObserver(Protocol):
    """Receives errors and progress while documents are sent."""

    def not_sent(self, where: str, why: str) -> None:
        """The document at this position is not in the queue."""

    def noticed(self, where: str, notice: str) -> None:
        """The document at this position is sent, and may be a mistake: a code for the reason."""

    def progress(self, counts: SendCounts) -> None:
        """The counts have changed."""


class Sender:
    """Sends documents to a queue, in order and in windows of bounded size."""

    def __init__(
        self, template: MessageTemplate, publisher: Publisher, observer: SendObserver
    ) -> None:
        self._template = template
        self._publisher = publisher
        self._observer = observer
        self.counts = SendCounts()

    async def run(self, documents: Iterable[Document]) -> SendCounts:
        """Send all documents; stops early if nothing more can be sent."""
        for window in _windows(self._messages(documents)):
            results = await self._publisher.publish([message for _, message in window])
            self.counts.stopped = self._publisher.stopped
            for (where, _), result in zip(window, results, strict=True):
                self._count(where, result)
            self.counts.possible_duplicates = self._publisher.possible_duplicates
            self._observer.progress(self.counts)
            if self.counts.stopped:
                break
        return self.counts

    def _count(self, where: str, result: Sent | Failed) -> None:
        self.counts.reached = where
        if isinstance(result, Sent):
            self.counts.sent += 1
            return
        self.counts.failed += 1
        # The error that stopped the command is reported once, not for each message not sent.
        if self.counts.stopped and result.sentence == self.counts.stopped.sentence:
            self.counts.stopped_at = self.counts.stopped_at or where
        else:
            self._observer.not_sent(where, result.sentence)

    def _messages(self, documents: Iterable[Document]) -> Iterator[tuple[str, Outgoing]]:
        """The valid documents as messages, each with its position in the input."""
        for document in documents:
            try:
                message, notices = self._template.message(document)
            except InvalidDocument as error:
                self.counts.invalid += 1
                self._observer.not_sent(document.where, str(error))
                continue
            for notice in notices:
                self._observer.noticed(document.where, notice)
            yield document.where, message


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
