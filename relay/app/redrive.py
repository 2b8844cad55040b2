"""A redrive: its plan, its canary and the rest, for a command or a console."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from relay.app.decoding import rules
from relay.app.destinations.traits import traits_lookup
from relay.app.dlq import DeadLetterReader, destination_target, open_ledger_reader
from relay.app.redrive_options import RedriveOptions
from relay.aws.session import SharedSession
from relay.aws.sqs import Queue, open_queue
from relay.dlq.dead_letter import DeadLetter
from relay.dlq.edit import modify
from relay.dlq.execution import ReportedProgress, execute
from relay.dlq.failing import FailureCheck
from relay.dlq.journal import Journal
from relay.dlq.plan import Plan, Planner
from relay.dlq.plan_source import plan_input
from relay.dlq.prediction import LedgerReader
from relay.dlq.queue_pair import QueuePair
from relay.dlq.queue_target import QueueTarget
from relay.dlq.safeguards import await_canary, choose_canary
from relay.dlq.selection import Counts, RunControl, Selection, Skipped
from relay.dlq.snapshot import Snapshot
from relay.dlq.targets import NoTarget, Routes, Target
from relay.dlq.watch import Watch
from relay.model.event import Event
from relay.settings.model import Settings

SAMPLES = 50
"""MessageIds of each group that a plan keeps for a canary."""


@dataclass(frozen=True, slots=True)
class Resources:
    """What a redrive works with. `reader` knows which payloads it could not read."""

    queues: QueuePair
    reader: DeadLetterReader
    routes: Routes
    ledger: LedgerReader | None


@asynccontextmanager
async def open_resources(
    settings: Settings, queues: QueuePair, to: str | None
) -> AsyncIterator[Resources]:
    """All of them, for as long as the block runs.

    Raises:
        AwsError: the queue `to` cannot be opened.
    """
    async with AsyncExitStack() as stack:
        name = queues.main.name if queues.main else None
        reader = DeadLetterReader(settings, SharedSession(stack), name)
        ledger = await stack.enter_async_context(open_ledger_reader(settings))

        async def open_(reference: str) -> Queue:
            return await stack.enter_async_context(open_queue(queues.session, reference))

        fixed = None if to is None else await open_(to)
        routes = Routes(queues.dead, open_, main=queues.main, fixed=fixed)
        yield Resources(queues, reader, routes, ledger)


class Redrive:
    """One redrive. Reads the snapshot, if there is one, before anything else.

    Args:
        settings: of the relay, to decode and to deliver.
        resources: the queues and what else it works with.
        options: what to redrive and how.
        watch: what it reports to.

    Raises:
        Unreadable: the snapshot is damaged.
    """

    def __init__(
        self, settings: Settings, resources: Resources, options: RedriveOptions, watch: Watch
    ) -> None:
        self._settings = settings
        self._resources = resources
        self._options = options
        self._watch = watch
        self._snapshot_ids: frozenset[str] | None = None
        if options.snapshot is not None:
            messages = Snapshot(options.snapshot)
            self._snapshot_ids = frozenset(message.message_id for message in messages)

    async def plan(self, began_at: float | None = None) -> Plan:
        """What a run would do, from the snapshot or from a pass over the queue.

        Raises:
            AwsError: that cannot be found out now.
        """
        options, resources = self._options, self._resources
        now = time.time()
        async with plan_input(
            resources.queues,
            options.snapshot,
            self._watch,
            wait=options.pace.wait,
            lease=options.pace.lease,
            count=None if self._snapshot_ids is None else len(self._snapshot_ids),
        ) as given:
            planner = Planner(
                self._selection(),
                NoTarget() if options.direct else QueueTarget(resources.routes.find, ""),
                resources.ledger,
                traits_lookup(self._settings),
                now=now,
                began_at=now if began_at is None else began_at,
                sample=max(SAMPLES, options.canary or 0),
                target_name="(the destination)",
            )
            plan = await planner.plan(given.messages)
        plan.not_received = given.not_received
        return plan

    async def execute(self, journal: Journal) -> Counts:
        """Send the canary, if there is one, and then the rest; the counts are those of both."""
        control = RunControl(self._watch.stop)
        plan, canary = await self._plan_before(journal), Counts()
        total = None if plan is None else self._total(plan, journal)
        if self._options.canary is not None and plan is not None:
            if not (plan.selected or journal.done or control.stop.is_set()):
                # Without a canary nothing that arrives later may be sent either.
                return _nothing_to_send(plan)
            canary = await self._canary(journal, control, plan)
            if canary.stopped is not None:
                return canary
        selection = self._selection(await self._expected())
        direct, before = self._options.direct, canary.processed
        rest = await self._run(
            journal, selection, control, direct=direct, total=total, before=before
        )
        return rest.after(canary)

    def _total(self, plan: Plan, journal: Journal) -> int:
        """How many are left to send or to delete; a snapshot still has those that are done."""
        done = len(journal.done) if self._options.snapshot is not None else 0
        return max(0, plan.selected + plan.duplicates - done)

    async def _plan_before(self, journal: Journal) -> Plan | None:
        """The plan where it costs no receives, or where a canary is chosen from it."""
        if self._options.canary is None and self._options.snapshot is None:
            return None
        return await self.plan(journal.began_at)

    async def _expected(self) -> frozenset[str]:
        """MessageIds in the snapshot that match the filters."""
        ids, filters = self._snapshot_ids, self._options.filters
        if self._options.snapshot is None or ids is None or filters.empty:
            return ids or frozenset()
        if self._options.matching is not None:
            return self._options.matching
        read, found = self._resources.reader.read, list[str]()
        for message in Snapshot(self._options.snapshot):
            if filters.matches(await read(message)):
                found.append(message.message_id)
            await asyncio.sleep(0)  # a large snapshot must not keep other tasks from running
        return frozenset(found)

    async def _canary(self, journal: Journal, control: RunControl, plan: Plan) -> Counts:
        """Send a few. `stopped` of the counts says why the rest must not be sent."""
        chosen = choose_canary(plan, self._options.canary or 0) - journal.done
        ids = self._within_limit(journal, chosen)
        if not ids or control.stop.is_set():
            return Counts()
        events: list[Event] = []
        since, through_queue = time.time(), self._options.canary_through_queue
        selection = replace(self._selection(events=events), canary=ids)
        counts = await self._run(
            journal, selection, control, direct=not through_queue, total=len(ids)
        )
        counts.stopped = undelivered(counts, len(ids))
        if counts.stopped is None and through_queue and self._resources.ledger is not None:
            counts.stopped = await await_canary(
                self._resources.ledger, events, since=since, deadline=self._options.canary_deadline
            )
        if counts.stopped is None:
            self._watch.warn(f"canary delivered ({len(ids)} of {len(ids)})")
        return counts

    def _within_limit(self, journal: Journal, ids: frozenset[str]) -> frozenset[str]:
        """As many of the canary as the limit leaves to a run that is resumed."""
        limit = self._options.limit
        left = None if limit is None else max(0, limit - len(journal.redriven))
        return frozenset(sorted(ids)[:left])

    async def _run(
        self,
        journal: Journal,
        selection: Selection,
        control: RunControl,
        *,
        direct: bool,
        total: int | None,
        before: int = 0,
    ) -> Counts:
        control.finished = False
        queues, pace = self._resources.queues, self._options.pace
        async with self._target(journal, direct=direct) as target:
            return await execute(
                queues,
                journal,
                target,
                selection,
                control,
                pace,
                ReportedProgress(self._watch.progress, total, before),
            )

    @asynccontextmanager
    async def _target(self, journal: Journal, *, direct: bool) -> AsyncIterator[Target[Any]]:
        if not direct:
            yield QueueTarget(self._resources.routes.find, journal.id)
            return
        queues, deadline = self._resources.queues, self._options.canary_deadline
        size = queues.attributes.maximum_size
        async with destination_target(self._settings, queues.dead, size, deadline) as target:
            yield target

    def _selection(
        self, expected: frozenset[str] = frozenset(), events: list[Event] | None = None
    ) -> Selection:
        """What the options select. The events of what is sent are added to `events`."""
        options, resources = self._options, self._resources
        change = partial(
            modify, rules=rules(self._settings), edit=options.edit, rerun=options.rerun
        )
        failing = FailureCheck(traits_lookup(self._settings), resources.ledger)

        async def check(dead_letter: DeadLetter) -> Skipped | None:
            found = None if options.include_failing else await failing(dead_letter)
            if found is None and events is not None:
                events.extend(dead_letter.events)
            return found

        return Selection(
            read=resources.reader.read,
            includes=options.filters.matches,
            matching=options.matching,
            modify=change,
            failing=check,
            limit=options.limit,
            max_hops=options.max_hops,
            expected=expected,
            snapshot=self._snapshot_ids,
        )


def _nothing_to_send(plan: Plan) -> Counts:
    return Counts(
        received=plan.examined,
        skipped=plan.skipped + plan.unselected,
        reasons=dict(plan.reasons),
        not_received=plan.not_received,
        why="no canary could be chosen",
    )


def undelivered(counts: Counts, count: int) -> str | None:
    """Why the rest must not be sent after the canary, or None."""
    if counts.processed >= count:
        return None
    reasons = counts.as_json()["reasons"]
    why = "; ".join(f"{code}: {reason}" for code, reason in reasons.items())
    return (
        f"{count - counts.processed} of {count} canary messages were not delivered, so the rest is"
        f" not sent: {why or 'they were not found in the queue'}"
    )
