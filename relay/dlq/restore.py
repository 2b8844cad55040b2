"""Restore: sends the messages of a snapshot or a backup to a queue again."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from relay.aws.sqs import Queue
from relay.dlq.dead_letter import DeadLetter
from relay.dlq.execution import counts_of
from relay.dlq.filters import Filter
from relay.dlq.journal import Journal
from relay.dlq.plan_source import EXAMINED, REPORT_EVERY
from relay.dlq.queue_target import QueueTarget
from relay.dlq.selection import Counts, Selection
from relay.dlq.sending import Sending
from relay.dlq.snapshot import Snapshot
from relay.dlq.targets import TargetQueue
from relay.dlq.watch import Watch
from relay.model.message import Message


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
        examined = selected = 0
        with self._watch.progress(EXAMINED, total=None) as progress:
            for message in self._snapshot:
                selected += self._filters.matches(await self._read(message))
                examined += 1
                if examined % REPORT_EVERY == 0:
                    progress.at(examined)
                    await asyncio.sleep(0)  # a large file must not keep other tasks from running
        now = await self._queue.attributes()
        waiting = now.visible + now.in_flight + now.delayed
        return RestorePlan(self._queue.name, waiting, examined, selected)

    async def execute(self, journal: Journal) -> Counts:
        """Send what matches, except what the journal has already.

        The counts have the error that ended it early, if any.
        """
        target = TargetQueue(self._queue, (await self._queue.attributes()).maximum_size)

        async def route(_dead_letter: DeadLetter) -> TargetQueue:
            return target

        selection = Selection(
            read=self._read, includes=self._filters.matches, modify=lambda unchanged: unchanged
        )
        sending = Sending(journal, QueueTarget(route, journal.id), selection)
        with self._watch.progress("restored", total=None) as progress:
            running = sending.execute(
                self._snapshot, self._watch.stop, lambda counts: progress.at(counts.done)
            )
            return await counts_of(running, sending.counts, journal)
