"""Restore: sends the messages of a snapshot or a backup to a queue again."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Awaitable, Callable, Iterable, Iterator
from dataclasses import dataclass

from relay.aws.sqs import Queue
from relay.aws.sqs_values import BATCH_ENTRIES
from relay.dlq.dead_letter import DeadLetter
from relay.dlq.duplicates import Identity
from relay.dlq.execution import counts_of
from relay.dlq.filters import Filter
from relay.dlq.journal import Journal, JournalEntry
from relay.dlq.queue_target import AddressedMessage, QueueTarget
from relay.dlq.selection import (
    BLOCKED,
    FILTERED,
    PAYLOAD_NOT_READ,
    Counts,
    Skipped,
    ids_unknown,
)
from relay.dlq.snapshot import Snapshot
from relay.dlq.targets import TargetQueue
from relay.dlq.watch import Watch
from relay.model.message import Message

WINDOW = 4 * BATCH_ENTRIES
"""Messages that are read and sent together."""


@dataclass(frozen=True, slots=True)
class RestorePlan:
    """What a restore would do: `selected` of `examined` messages would be put into `queue`.

    `waiting` is about how many messages that queue has now.
    """

    queue: str
    waiting: int
    examined: int
    selected: int


class Restore:
    """One restore.

    Args:
        snapshot: the snapshot or backup. It was read to its end once, so it is not damaged.
        read: reads a message.
        filters: which of its messages; an empty one means all.
        queue: where they are put.
        watch: what it reports to.
    """

    def __init__(
        self,
        snapshot: Snapshot,
        read: Callable[[Message], Awaitable[DeadLetter]],
        filters: Filter,
        queue: Queue,
        watch: Watch,
    ) -> None:
        self._snapshot = snapshot
        self._read = read
        self._filters = filters
        self._queue = queue
        self._watch = watch

    async def plan(self) -> RestorePlan:
        """What would be put back. Nothing is changed.

        Raises:
            AwsError: the queue or a payload cannot be read.
            Unreadable: the file is damaged.
        """
        matching = [self._filters.matches(await self._read(one)) for one in self._snapshot]
        now = await self._queue.attributes()
        waiting = now.visible + now.in_flight + now.delayed
        return RestorePlan(self._queue.name, waiting, len(matching), sum(matching))

    async def execute(self, journal: Journal) -> Counts:
        """Send what matches, except what the journal has already.

        The counts have the error that ended it early, if any.
        """
        target = TargetQueue(self._queue, (await self._queue.attributes()).maximum_size)

        async def route(_dead_letter: DeadLetter) -> TargetQueue:
            return target

        sending = _Sending(
            journal, QueueTarget(route, journal.id), self._read, self._filters.matches
        )
        with self._watch.progress("restored", total=None) as progress:
            running = sending.execute(
                self._snapshot, self._watch.stop, lambda counts: progress.at(counts.done)
            )
            return await counts_of(running, sending.counts, journal)


class _Sending:
    """Sends what is selected, in the order of the file, except what the journal has already.

    A message that the file has twice, as a backup may after a kill, is sent once.
    """

    def __init__(
        self,
        journal: Journal,
        target: QueueTarget,
        read: Callable[[Message], Awaitable[DeadLetter]],
        includes: Callable[[DeadLetter], bool],
    ) -> None:
        self._journal = journal
        self._target = target
        self._read = read
        self._includes = includes
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
        dead_letter = await self._read(message)
        if not self._includes(dead_letter):
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
