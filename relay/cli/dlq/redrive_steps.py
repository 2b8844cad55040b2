"""The steps of `relay dlq redrive`: the plan, or the canary and then the rest."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from relay.app.decoding import rules
from relay.app.destinations.traits import traits_lookup
from relay.app.dlq import destination_target, open_ledger_reader
from relay.aws.errors import AwsError
from relay.aws.sqs import Queue, open_queue
from relay.cli.dlq import output
from relay.cli.dlq.input import Read, open_reader, plan_input, snapshot_ids
from relay.cli.dlq.options import RedriveOptions
from relay.cli.dlq.output import PARTIAL, stoppable
from relay.cli.dlq.queues import QueuePair, open_queues
from relay.cli.dlq.run import audit, execute, open_journal, report
from relay.cli.startup import fail
from relay.dlq.dead_letter import DeadLetter
from relay.dlq.edit import modify
from relay.dlq.journal import Journal
from relay.dlq.plan import Plan, Planner
from relay.dlq.prediction import LedgerReader
from relay.dlq.queue_target import QueueTarget
from relay.dlq.safeguards import await_canary, choose_canary
from relay.dlq.selection import Counts, RunControl, Selection, Skipped
from relay.dlq.targets import NoTarget, Routes, Target
from relay.model.event import Event
from relay.output.terminal import echo
from relay.settings.model import Settings

SAMPLES = 50
"""MessageIds of each group that a plan keeps for a canary."""


@dataclass(frozen=True, slots=True)
class Resources:
    """What a redrive works with."""

    queues: QueuePair
    read: Read
    routes: Routes
    ledger: LedgerReader | None


@asynccontextmanager
async def open_resources(
    settings: Settings, dlq: str | None, main: str | None, to: str | None
) -> AsyncIterator[Resources]:
    """All of them, for as long as the block runs. A request that SQS refuses ends the command."""
    async with AsyncExitStack() as stack:
        queues = await stack.enter_async_context(open_queues(settings, dlq, main))
        name = queues.main.name if queues.main else None
        read = await stack.enter_async_context(open_reader(settings, name))
        ledger = await stack.enter_async_context(open_ledger_reader(settings))
        routes = await _routes(queues, to, stack)
        yield Resources(queues, read, routes, ledger)


async def _routes(queues: QueuePair, to: str | None, stack: AsyncExitStack) -> Routes:
    async def open_(reference: str) -> Queue:
        return await stack.enter_async_context(open_queue(queues.session, reference))

    try:
        fixed = None if to is None else await open_(to)
    except AwsError as error:
        fail(error.sentence)
    return Routes(queues.dead, open_, main=queues.main, fixed=fixed)


class Redrive:
    """One redrive."""

    def __init__(self, settings: Settings, options: RedriveOptions) -> None:
        self._settings = settings
        self._options = options
        self._snapshot_ids: frozenset[str] | None = None

    async def show_plan(self, dlq: str | None, main: str | None) -> None:
        """Print what would happen, and change nothing."""
        async with open_resources(self._settings, dlq, main, self._options.to) as resources:
            await self._read_snapshot(resources)
            with stoppable() as stop:
                plan = await self._plan(resources, time.time(), stop)
            if stop.is_set():
                fail("stopped before the plan was complete: nothing was changed", code=PARTIAL)
            ledger = resources.ledger is not None
            output.show(plan, as_json=self._options.as_json, ledger=ledger)

    async def execute(self, dlq: str | None, main: str | None, directory: Path | None) -> None:
        """Redrive, and print the result."""
        options = self._options.resume_options
        async with open_resources(self._settings, dlq, main, self._options.to) as resources:
            await self._read_snapshot(resources)
            opening = open_journal(directory, resources.queues, "redrive", options)
            with opening as journal, stoppable() as stop:
                counts = await self._canary_and_rest(resources, journal, RunControl(stop))
                audit(self._settings, journal, "dlq redrive", options, counts)
                report(counts, journal, as_json=self._options.as_json, done="redriven")

    async def _canary_and_rest(
        self, resources: Resources, journal: Journal, control: RunControl
    ) -> Counts:
        """The counts of the canary if it failed, else those of the rest."""
        if self._options.canary is not None:
            failed = await self._canary(resources, journal, control)
            if failed is not None:
                return failed
        selection = self._selection(resources)
        return await self._run(resources, journal, selection, control, direct=self._options.direct)

    async def _run(
        self,
        resources: Resources,
        journal: Journal,
        selection: Selection,
        control: RunControl,
        *,
        direct: bool,
    ) -> Counts:
        options = self._options
        control.finished = False
        async with self._target(resources, journal, direct=direct) as target:
            return await execute(
                resources.queues,
                journal,
                target,
                selection,
                control,
                wait=options.wait,
                lease=options.lease,
                rate=options.rate,
            )

    async def _canary(
        self, resources: Resources, journal: Journal, control: RunControl
    ) -> Counts | None:
        """Send a few. Returns None if all of them were delivered, else their counts."""
        plan = await self._plan(resources, journal.began_at, control.stop)
        if not (plan.selected or journal.done or control.stop.is_set()):
            # Without a canary nothing that arrives later may be sent either.
            why = "no canary could be chosen"
            return Counts(received=plan.examined, not_received=plan.not_received, why=why)
        chosen = choose_canary(plan, self._options.canary or 0) - journal.done
        ids = self._within_limit(journal, chosen)
        if not ids or control.stop.is_set():
            return None
        events: list[Event] = []
        since, through_queue = time.time(), self._options.canary_through_queue
        selection = self._selection(resources, ids, events)
        counts = await self._run(resources, journal, selection, control, direct=not through_queue)
        counts.stopped = undelivered(counts, len(ids))
        if counts.stopped is None and through_queue and resources.ledger is not None:
            counts.stopped = await await_canary(
                resources.ledger, events, since=since, deadline=self._options.canary_deadline
            )
        if counts.stopped is not None:
            return counts
        echo(f"relay: canary delivered ({len(ids)} of {len(ids)})", err=True)
        return None

    def _within_limit(self, journal: Journal, ids: frozenset[str]) -> frozenset[str]:
        """As many of the canary as the limit leaves to a run that is resumed."""
        limit = self._options.limit
        left = None if limit is None else max(0, limit - len(journal.redriven))
        return frozenset(sorted(ids)[:left])

    @asynccontextmanager
    async def _target(
        self, resources: Resources, journal: Journal, *, direct: bool
    ) -> AsyncIterator[Target[Any]]:
        if not direct:
            yield QueueTarget(resources.routes.find, journal.id)
            return
        queues, deadline = resources.queues, self._options.canary_deadline
        size = queues.attributes.maximum_size
        async with destination_target(self._settings, queues.dead, size, deadline) as target:
            yield target

    def _selection(
        self,
        resources: Resources,
        ids: frozenset[str] | None = None,
        events: list[Event] | None = None,
    ) -> Selection:
        """What the options select, or of that only `ids`, whose events are added to `events`."""
        options, only = self._options, self._snapshot_ids if ids is None else ids
        change = partial(
            modify, rules=rules(self._settings), edit=options.edit, rerun=options.rerun
        )

        def includes(dead_letter: DeadLetter) -> bool:
            possible = only is None or dead_letter.message.message_id in only
            return possible and options.filters.matches(dead_letter)

        def modified(dead_letter: DeadLetter) -> DeadLetter | Skipped:
            result = change(dead_letter)
            if events is not None and not isinstance(result, Skipped):
                events.extend(result.events)
            return result

        return Selection(
            read=resources.read,
            includes=includes,
            modify=modified,
            limit=options.limit,
            max_hops=options.max_hops,
            expected=(self._snapshot_ids or frozenset()) if ids is None else frozenset(),
        )

    async def _read_snapshot(self, resources: Resources) -> None:
        """Read which messages of the snapshot match, if one is named."""
        options = self._options
        self._snapshot_ids = await snapshot_ids(
            options.snapshot, resources.queues, resources.read, options.filters
        )

    async def _plan(self, resources: Resources, began_at: float, stop: asyncio.Event) -> Plan:
        """What the run would do, from the snapshot or from a pass over the queue."""
        options = self._options
        async with plan_input(resources.queues, options.snapshot, options.wait, stop) as given:
            planner = Planner(
                self._selection(resources),
                NoTarget() if options.direct else QueueTarget(resources.routes.find, ""),
                resources.ledger,
                traits_lookup(self._settings),
                now=time.time(),
                began_at=began_at,
                sample=max(SAMPLES, options.canary or 0),
                target_name="(the destination)",
            )
            plan = await planner.plan(given.messages)
        plan.not_received = given.not_received
        return plan


def undelivered(counts: Counts, count: int) -> str | None:
    """Why the rest must not be sent after the canary, or None."""
    if counts.done + counts.duplicates >= count:
        return None
    reasons = counts.as_json()["reasons"]
    why = "; ".join(f"{code}: {reason}" for code, reason in reasons.items())
    return (
        f"{count - counts.done} of {count} canary messages were not delivered, so the rest is not"
        f" sent: {why or 'they were not found in the queue'}"
    )
