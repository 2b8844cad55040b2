"""`relay audit --failed --rerun`: publishes the events of failed runs again, as a redrive does."""

from __future__ import annotations

import asyncio
import tempfile
import time
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from relay.app.audit import audit
from relay.app.auditing import AuditOptions, open_requests
from relay.app.decoding import rules
from relay.app.destinations.traits import traits_lookup
from relay.app.dlq import destination_target, open_ledger_reader
from relay.app.redrive import SAMPLES, undelivered
from relay.cli.dlq.input import read_snapshot
from relay.cli.dlq.output import PARTIAL, Progress, stoppable
from relay.cli.dlq.plan_view import show_plan
from relay.cli.dlq.queues import open_queues
from relay.cli.dlq.run import open_journal, report
from relay.cli.startup import USAGE, fail
from relay.dlq.dead_letter import DeadLetter, read_dead_letter
from relay.dlq.edit import modify
from relay.dlq.execution import counts_of
from relay.dlq.journal import Journal
from relay.dlq.plan import Plan, Planner
from relay.dlq.queue_pair import QueuePair
from relay.dlq.queue_target import QueueTarget
from relay.dlq.safeguards import RateLimit, choose_canary
from relay.dlq.selection import Counts, Selection
from relay.dlq.sending import Sending
from relay.dlq.snapshot import Snapshot, SnapshotWriter
from relay.dlq.targets import Target, TargetQueue
from relay.model.destination import Unavailable
from relay.model.message import Message
from relay.ops.audit.rerun import REASONS, FailedEvents
from relay.ops.audit.state import AuditState
from relay.ops.inngest_api import InngestApi, UnusableAnswer
from relay.output.terminal import echo
from relay.settings.model import Settings

EVENTS = "events.jsonl"
"""In the journal's directory: the messages of the run, as in a snapshot."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RerunOptions:
    """The options of a rerun; see the command's help."""

    all_functions: bool
    limit: int | None
    rate: float | None
    canary: int | None
    canary_deadline: float
    as_json: bool
    journal: Path | None
    yes: bool

    @property
    def resume_options(self) -> dict[str, Any]:
        """The options that must be the same when the run is resumed, as JSON values."""
        return {"all_functions": self.all_functions, "limit": self.limit}


async def run(
    settings: Settings,
    state: AuditState,
    options: RerunOptions,
    audit_options: AuditOptions,
    dlq: str | None,
    main: str | None,
) -> None:
    """Show the plan, or publish the events and print the result."""
    async with open_queues(settings, dlq, main) as queues:
        if queues.main is None:
            fail("no main queue is named: use --queue, or set RELAY_QUEUE_URL", code=USAGE)
        size = (await queues.main.attributes()).maximum_size
        rerun = _Rerun(settings, options, queues, TargetQueue(queues.main, size))
        if not options.yes:
            with tempfile.TemporaryDirectory(prefix="relay-audit-") as directory:
                path = Path(directory, EVENTS)
                await _write_events(settings, state, options, audit_options, queues, path)
                await rerun.show_plan(read_snapshot(path))
            return
        with (
            open_journal(options.journal, queues, "rerun", options.resume_options) as journal,
            stoppable() as stop,
        ):
            path = journal.directory / EVENTS
            if not path.exists():
                await _write_events(settings, state, options, audit_options, queues, path)
            await rerun.execute(read_snapshot(path), journal, stop)


async def _write_events(
    settings: Settings,
    state: AuditState,
    options: RerunOptions,
    audit_options: AuditOptions,
    queues: QueuePair,
    path: Path,
) -> None:
    """Write the messages to a file. If the server does not answer, nothing is published."""
    name = queues.main.name if queues.main else ""
    async with open_requests(settings, audit_options, asyncio.Event()) as requests:
        failed = FailedEvents(
            state, InngestApi(requests), name, all_functions=options.all_functions
        )
        with SnapshotWriter(path, queues.head) as writer:
            try:
                async for message in failed.messages():
                    writer.add(message)
            except Unavailable as error:
                fail(f"{error.reason}: nothing was published", code=PARTIAL)
            except UnusableAnswer as error:
                fail(f"{error}: nothing was published", code=PARTIAL)
            writer.close(complete=True)
    for code, count in failed.skipped.items():
        echo(f"relay: {count} events of failed runs are left out: {REASONS[code]}", err=True)


class _Rerun:
    """One rerun."""

    def __init__(
        self, settings: Settings, options: RerunOptions, queues: QueuePair, target: TargetQueue
    ) -> None:
        self._settings = settings
        self._options = options
        self._queues = queues
        self._target = target
        self._selection = Selection(
            read=self._read,
            includes=lambda _: True,
            modify=partial(modify, rules=rules(settings), edit=None, rerun=True),
            limit=options.limit,
        )

    async def show_plan(self, events: Snapshot) -> None:
        """Print what would happen, and change nothing."""
        async with open_ledger_reader(self._settings) as ledger:
            has_ledger = ledger is not None
        plan = await self._plan(events, time.time())
        show_plan(plan, as_json=self._options.as_json, ledger=has_ledger)

    async def execute(self, events: Snapshot, journal: Journal, stop: asyncio.Event) -> None:
        """Publish, and print the result."""
        counts = await self._canary_and_rest(events, journal, stop)
        options = {**self._options.resume_options, "canary": self._options.canary}
        audit(self._settings, journal, "rerun", options, counts, group="audit")
        report(counts, journal, as_json=self._options.as_json, done="published again")

    async def _canary_and_rest(
        self, events: Snapshot, journal: Journal, stop: asyncio.Event
    ) -> Counts:
        if self._options.canary is not None:
            plan = await self._plan(events, journal.began_at)
            chosen = choose_canary(plan, self._options.canary)
            limit = self._options.limit
            ids = frozenset(sorted(chosen)[:limit]) - journal.done
            if ids and not stop.is_set():
                counts = await self._canary(events, journal, stop, ids)
                if counts.stopped is not None:
                    return counts
                echo(f"relay: canary delivered ({len(ids)} of {len(ids)})", err=True)
        target = QueueTarget(self._route, journal.id)
        return await self._send(events, journal, stop, target, self._selection)

    async def _canary(
        self, events: Snapshot, journal: Journal, stop: asyncio.Event, ids: frozenset[str]
    ) -> Counts:
        """Deliver these directly; `stopped` says why the rest must not be sent."""
        selection = replace(self._selection, includes=lambda one: one.message.message_id in ids)
        size, deadline = self._target.max_bytes, self._options.canary_deadline
        async with destination_target(self._settings, self._queues.dead, size, deadline) as target:
            counts = await self._send(events, journal, stop, target, selection)
        counts.stopped = undelivered(counts, len(ids))
        return counts

    async def _send(
        self,
        events: Snapshot,
        journal: Journal,
        stop: asyncio.Event,
        target: Target[Any],
        selection: Selection,
    ) -> Counts:
        sending = Sending(journal, target, selection, RateLimit(self._options.rate, stop=stop))
        with Progress("published again", total=None) as progress:
            running = sending.execute(events, stop, lambda counts: progress.at(counts.done))
            return await counts_of(running, sending.counts, journal)

    async def _plan(self, events: Snapshot, began_at: float) -> Plan:
        async with open_ledger_reader(self._settings) as ledger:
            planner = Planner(
                self._selection,
                QueueTarget(self._route, ""),
                ledger,
                traits_lookup(self._settings),
                now=time.time(),
                began_at=began_at,
                sample=max(SAMPLES, self._options.canary or 0),
            )
            return await planner.plan(events)

    async def _read(self, message: Message) -> DeadLetter:
        return read_dead_letter(message, rules(self._settings), self._target.queue.name)

    async def _route(self, _dead_letter: DeadLetter) -> TargetQueue:
        return self._target
