"""A drop: deletes dead letters on purpose, after a backup."""

from __future__ import annotations

import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

from relay.dlq.dead_letter import DeadLetter
from relay.dlq.execution import Pace, ReportedProgress, execute
from relay.dlq.filters import Filter
from relay.dlq.journal import Journal
from relay.dlq.plan import Plan, Planner
from relay.dlq.plan_source import plan_input
from relay.dlq.prediction import TraitsOf
from relay.dlq.queue_pair import QueuePair
from relay.dlq.selection import Counts, RunControl, Selection
from relay.dlq.snapshot import Snapshot
from relay.dlq.targets import NoTarget
from relay.dlq.watch import Watch
from relay.model.message import Message


class Drop:
    """One drop.

    Args:
        queues: the dead-letter queue.
        read: reads a message.
        filters: what to drop. No operation empties a queue, so it must not be empty.
        traits_of: the traits of the destinations, for the plan.
        pace: how it receives.
        watch: what it reports to.
        snapshot: only messages that are in it; None for any.
        matching: MessageIds of what the filters match in it, where that is known.

    Raises:
        ValueError: the filter is empty.
        Unreadable: the snapshot is damaged.
    """

    def __init__(
        self,
        queues: QueuePair,
        read: Callable[[Message], Awaitable[DeadLetter]],
        filters: Filter,
        traits_of: TraitsOf,
        pace: Pace,
        watch: Watch,
        *,
        snapshot: Path | None = None,
        matching: frozenset[str] | None = None,
    ) -> None:
        if filters.empty:
            raise ValueError("give at least one filter that says what to drop")
        self._queues = queues
        self._traits_of = traits_of
        self._pace = pace
        self._watch = watch
        self._snapshot = snapshot
        ids = None if snapshot is None else frozenset(one.message_id for one in Snapshot(snapshot))
        self._selection = Selection(
            read=read,
            includes=filters.matches,
            matching=matching,
            modify=lambda dead_letter: dead_letter,
            max_hops=sys.maxsize,
            every_message=True,
            snapshot=ids,
        )

    async def plan(self) -> Plan:
        """What would be deleted, from the snapshot or from a pass over the queue.

        Raises:
            AwsError: the queue cannot be read.
        """
        now = time.time()
        ids = self._selection.snapshot
        async with plan_input(
            self._queues,
            self._snapshot,
            self._watch,
            wait=self._pace.wait,
            lease=self._pace.lease,
            count=None if ids is None else len(ids),
        ) as given:
            planner = Planner(
                self._selection, NoTarget(), None, self._traits_of, now=now, began_at=now
            )
            plan = await planner.plan(given.messages)
        plan.not_received = given.not_received
        return plan

    async def execute(self, journal: Journal, *, total: int | None = None) -> Counts:
        """Delete what matches and did not arrive after the journal began."""
        return await execute(
            self._queues,
            journal,
            NoTarget(),
            self._selection,
            RunControl(self._watch.stop),
            self._pace,
            ReportedProgress(self._watch.progress, total),
        )
