"""Restore: sends the messages of a snapshot or a backup to a queue again."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable, Iterable, Iterator

from relay.aws.sqs_values import BATCH_ENTRIES
from relay.dlq.duplicates import Identity
from relay.dlq.journal import Journal, JournalEntry
from relay.dlq.queue_target import AddressedMessage, QueueTarget
from relay.dlq.selection import (
    BLOCKED,
    FILTERED,
    PAYLOAD_NOT_READ,
    Counts,
    Selection,
    Skipped,
    ids_unknown,
)
from relay.model.message import Message

WINDOW = 4 * BATCH_ENTRIES
"""Messages that are read and sent together."""


class Restore:
    """Sends what is selected, in the order of the file, except what the journal has already.

    A message that the file has twice, as a backup may after a kill, is sent once.
    """

    def __init__(self, journal: Journal, target: QueueTarget, selection: Selection) -> None:
        self._journal = journal
        self._target = target
        self._selection = selection
        self._seen = set(journal.done)
        self._blocked: set[str | None] = set()
        self.counts = Counts()

    async def execute(
        self,
        messages: Iterable[Message],
        stop: asyncio.Event,
        progress: Callable[[Counts], None],
    ) -> Counts:
        """Send all.

        Raises:
            AwsError: the queue accepts no more.
            OSError: the journal cannot be written.
        """
        for window in _windows(messages):
            if stop.is_set():
                self.counts.interrupted = True
                break
            prepared = [(m.message_id, one) for m in window if (one := await self._prepare(m))]
            await self._send(prepared)
            progress(self.counts)
        return self.counts

    async def _prepare(self, message: Message) -> AddressedMessage | None:
        """The message to send; None if it is skipped or was sent already."""
        if message.message_id in self._seen:
            return None
        self._seen.add(message.message_id)
        self.counts.received += 1
        outgoing = await self._address(message)
        if isinstance(outgoing, AddressedMessage) and outgoing.message.group_id in self._blocked:
            outgoing = BLOCKED
        if isinstance(outgoing, Skipped):
            self.counts.skip(outgoing)
            return None
        return outgoing

    async def _address(self, message: Message) -> AddressedMessage | Skipped:
        dead_letter = await self._selection.read(message)
        if not self._selection.includes(dead_letter):
            return Skipped(FILTERED, "it does not match the filters")
        if ids_unknown(dead_letter):
            return PAYLOAD_NOT_READ
        return await self._target.prepare(dead_letter)

    async def _send(self, prepared: list[tuple[str, AddressedMessage]]) -> None:
        if not prepared:
            return
        results = await self._target.send([outgoing for _, outgoing in prepared])
        done = []
        for (message_id, outgoing), result in zip(prepared, results, strict=True):
            if isinstance(result, Skipped):
                self.counts.skip(result)
                if outgoing.target.queue.fifo:
                    self._blocked.add(outgoing.message.group_id)
            else:
                identity = Identity(message_id, "")
                done.append(JournalEntry(message_id, identity, None, 0, result.reference))
        self._journal.record_done(done)
        await self._journal.commit()
        self.counts.done += len(done)


def _windows(messages: Iterable[Message]) -> Iterator[list[Message]]:
    remaining = iter(messages)
    while window := list(itertools.islice(remaining, WINDOW)):
        yield window
