"""Sends the messages of a file, such as a snapshot or a backup, to their target again."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable, Iterable, Iterator
from typing import Generic

from relay.aws.sqs_values import BATCH_ENTRIES
from relay.dlq.duplicates import Identity
from relay.dlq.journal import Journal, JournalEntry
from relay.dlq.queue_target import AddressedMessage
from relay.dlq.safeguards import RateLimit
from relay.dlq.selection import (
    BLOCKED,
    FILTERED,
    LIMIT,
    PAYLOAD_NOT_READ,
    Counts,
    Selection,
    Skipped,
    ids_unknown,
)
from relay.dlq.targets import P, Target
from relay.model.message import Message

WINDOW = 4 * BATCH_ENTRIES
"""Messages that are read and sent together."""


class Sending(Generic[P]):
    """Sends what is selected, in the order of the file, except what the journal has already.

    A message that the file has twice, as a backup may after a kill, is sent once.

    Args:
        journal: of the run; it also has what an earlier part of the run did.
        target: where the messages go.
        selection: which ones, how they are changed, and how many.
        rate: delays them.
    """

    def __init__(
        self,
        journal: Journal,
        target: Target[P],
        selection: Selection,
        rate: RateLimit | None = None,
    ) -> None:
        self._journal = journal
        self._target = target
        self._selection = selection
        self._rate = rate or RateLimit(None)
        self._seen = set(journal.done)
        self._blocked: set[str] = set()
        self.counts = Counts()

    async def execute(
        self,
        messages: Iterable[Message],
        stop: asyncio.Event,
        progress: Callable[[Counts], None],
    ) -> Counts:
        """Send all.

        Raises:
            AwsError: the target accepts no more.
            OSError: the journal cannot be written.
        """
        for window in _windows(messages):
            if stop.is_set():
                self.counts.interrupted = True
                break
            prepared = [(m.message_id, one) for m in window if (one := await self._prepare(m))]
            prepared = self._within_limit(prepared)
            await self._rate.wait(len(prepared))
            if stop.is_set():
                self.counts.interrupted = True
                break
            await self._send(prepared)
            progress(self.counts)
        return self.counts

    async def _prepare(self, message: Message) -> P | None:
        """The message to send; None if it is skipped or was sent already."""
        if message.message_id in self._seen:
            return None
        self._seen.add(message.message_id)
        self.counts.received += 1
        outgoing = await self._address(message)
        if self._blocked and _group(outgoing) in self._blocked:
            outgoing = BLOCKED
        if isinstance(outgoing, Skipped):
            self.counts.skip(outgoing)
            return None
        return outgoing

    async def _address(self, message: Message) -> P | Skipped:
        dead_letter = await self._selection.read(message)
        if not self._selection.includes(dead_letter):
            return Skipped(FILTERED, "it does not match the filters")
        if ids_unknown(dead_letter):
            return PAYLOAD_NOT_READ
        modified = self._selection.modify(dead_letter)
        if isinstance(modified, Skipped):
            return modified
        return await self._target.prepare(modified)

    def _within_limit(self, prepared: list[tuple[str, P]]) -> list[tuple[str, P]]:
        """As many as the limit leaves; the rest is skipped."""
        if self._selection.limit is None:
            return prepared
        left = max(0, self._selection.limit - len(self._journal.done))
        for _ in prepared[left:]:
            self.counts.skip(Skipped(LIMIT, "the limit was reached"))
        return prepared[:left]

    async def _send(self, prepared: list[tuple[str, P]]) -> None:
        if not prepared:
            return
        results = await self._target.send([outgoing for _, outgoing in prepared])
        done = []
        for (message_id, outgoing), result in zip(prepared, results, strict=True):
            if isinstance(result, Skipped):
                self.counts.skip(result)
                if (group := _group(outgoing)) is not None:
                    self._blocked.add(group)
            else:
                identity = Identity(message_id, "")
                done.append(JournalEntry(message_id, identity, None, 0, result.reference))
        self._journal.record_done(done)
        await self._journal.commit()
        self.counts.done += len(done)


def _group(outgoing: object) -> str | None:
    """The message group in which the order counts; None if there is none."""
    if isinstance(outgoing, AddressedMessage) and outgoing.target.queue.fifo:
        return outgoing.message.group_id
    return None


def _windows(messages: Iterable[Message]) -> Iterator[list[Message]]:
    remaining = iter(messages)
    while window := list(itertools.islice(remaining, WINDOW)):
        yield window
