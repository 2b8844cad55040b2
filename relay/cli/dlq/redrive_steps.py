"""A redrive: what is done in which order, the canary first."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import typer

from relay.app.decoding import rules
from relay.app.destinations.traits import traits_lookup
from relay.app.dlq import destination_target, open_ledger_reader
from relay.aws.errors import AwsError
from relay.aws.sqs import Queue, open_queue
from relay.cli.dlq import output
from relay.cli.dlq.input import Read, among, pictured, reader
from relay.cli.dlq.options import RedriveOptions
from relay.cli.dlq.output import PARTIAL, stoppable
from relay.cli.dlq.queues import QueuePair, opened
from relay.cli.dlq.run import audit, conclude, execute, journal
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
from relay.settings.model import Settings


@dataclass(frozen=True, slots=True)
class Tools:
    """What the work is done with, open for as long as it takes."""

    desk: QueuePair
    read: Read
    routes: Routes
    memory: LedgerReader | None
    stack: AsyncExitStack


@asynccontextmanager
async def tools(
    settings: Settings, dlq: str | None, main: str | None, to: str | None
) -> AsyncIterator[Tools]:
    """All of them, for as long as the block runs. What SQS refuses ends the command."""
    async with AsyncExitStack() as stack:
        desk = await stack.enter_async_context(opened(settings, dlq, main))
        name = desk.main.name if desk.main else None
        read = await stack.enter_async_context(reader(settings, name))
        memory = await stack.enter_async_context(open_ledger_reader(settings))
        routes = await _routes(desk, to, stack)
        yield Tools(desk, read, routes, memory, stack)


async def _routes(desk: QueuePair, to: str | None, stack: AsyncExitStack) -> Routes:
    async def open_(reference: str) -> Queue:
        return await stack.enter_async_context(open_queue(desk.session, reference))

    try:
        fixed = None if to is None else await open_(to)
    except AwsError as error:
        fail(error.sentence)
    return Routes(desk.queue, open_, main=desk.main, fixed=fixed)


SAMPLES = 50
"""MessageIds of each group that a plan keeps for a canary."""


class Redriving:
    """One redrive."""

    def __init__(self, settings: Settings, wish: RedriveOptions) -> None:
        self._settings = settings
        self._wish = wish
        self._among: frozenset[str] | None = None

    async def show(self, dlq: str | None, main: str | None) -> None:
        """Say what would happen, and touch nothing."""
        async with tools(self._settings, dlq, main, self._wish.to) as found:
            await self._limit(found)
            with stoppable() as stop:
                plan = await self._plan(found, time.time(), stop)
            if stop.is_set():
                fail("stopped before everything was seen: nothing was touched", code=PARTIAL)
            ledger = found.memory is not None
            output.show(plan, as_json=self._wish.as_json, ledger=ledger)

    async def do(self, dlq: str | None, main: str | None, directory: Path | None) -> None:
        """Do it, and say how it ended."""
        options = self._wish.options
        async with tools(self._settings, dlq, main, self._wish.to) as found:
            await self._limit(found)
            with journal(directory, found.desk, "redrive", options) as kept, stoppable() as stop:
                counts = await self._bring(found, kept, RunControl(stop))
                audit(self._settings, kept, "redrive", options, counts)
                conclude(counts, kept, as_json=self._wish.as_json, done="brought back")

    async def _bring(self, found: Tools, kept: Journal, control: RunControl) -> Counts:
        """The canary's tally where it forbids the rest, else that of the rest."""
        if self._wish.canary is not None:
            counts = await self._try_canary(found, kept, control)
            if counts is not None:
                return counts
        selection = self._errand(found)
        return await self._go(found, kept, selection, control, direct=self._wish.direct)

    async def _go(
        self,
        found: Tools,
        kept: Journal,
        selection: Selection,
        control: RunControl,
        *,
        direct: bool,
    ) -> Counts:
        wish = self._wish
        control.enough = False
        async with self._road(found, kept, direct=direct) as road:
            return await execute(
                found.desk,
                kept,
                road,
                selection,
                control,
                wait=wish.wait,
                lease=wish.lease,
                rate=wish.rate,
            )

    async def _try_canary(self, found: Tools, kept: Journal, control: RunControl) -> Counts | None:
        """Bring a few. None where every one was surely delivered, else how it went."""
        plan = await self._plan(found, kept.began_at, control.stop)
        if not (plan.goes or kept.brought or control.stop.is_set()):
            # Nothing is there to go first, so what turns up later does not go either.
            return Counts(met=plan.met, out_of_reach=plan.unseen, why="no canary could be chosen")
        ids = self._left(kept, choose_canary(plan, self._wish.canary or 0) - kept.brought)
        if not ids or control.stop.is_set():
            return None
        events: list[Event] = []
        since, through = time.time(), self._wish.canary_through_queue
        selection = self._errand(found, ids, events)
        counts = await self._go(found, kept, selection, control, direct=not through)
        counts.stopped = _undelivered(counts, len(ids))
        if counts.stopped is None and through and found.memory is not None:
            deadline = self._wish.canary_deadline
            counts.stopped = await await_canary(
                found.memory, events, since=since, deadline=deadline
            )
        if counts.stopped is not None:
            return counts
        typer.echo(f"relay: all {len(ids)} of the canary were delivered", err=True)
        return None

    def _left(self, kept: Journal, ids: frozenset[str]) -> frozenset[str]:
        """As many of the canary as the limit leaves to a run that is taken up."""
        limit = self._wish.limit
        left = None if limit is None else max(0, limit - len(kept.twins))
        return frozenset(sorted(ids)[:left])

    @asynccontextmanager
    async def _road(
        self, found: Tools, kept: Journal, *, direct: bool
    ) -> AsyncIterator[Target[Any]]:
        if not direct:
            yield QueueTarget(found.routes.of, kept.id)
            return
        desk, deadline = found.desk, self._wish.canary_deadline
        size = desk.attributes.maximum_size
        async with destination_target(self._settings, desk.queue, size, deadline) as road:
            yield road

    def _errand(
        self,
        found: Tools,
        ids: frozenset[str] | None = None,
        events: list[Event] | None = None,
    ) -> Selection:
        """All that is wished, or of that only `ids`, whose events are then added to `events`."""
        wish, among = self._wish, self._among if ids is None else ids
        changed = partial(modify, rules=rules(self._settings), edit=wish.edit, rerun=wish.rerun)

        def meant(letter: DeadLetter) -> bool:
            known = among is None or letter.message.message_id in among
            return known and wish.meant.matches(letter)

        def altered(letter: DeadLetter) -> DeadLetter | Skipped:
            result = changed(letter)
            if events is not None and not isinstance(result, Skipped):
                events.extend(result.events)
            return result

        return Selection(
            read=found.read,
            meant=meant,
            modify=altered,
            limit=wish.limit,
            max_hops=wish.max_hops,
            expected=(self._among or frozenset()) if ids is None else frozenset(),
        )

    async def _limit(self, found: Tools) -> None:
        """Read which messages of the snapshot are meant, where one is named."""
        wish = self._wish
        self._among = await among(wish.snapshot, found.desk, found.read, wish.meant)

    async def _plan(self, found: Tools, began_at: float, stop: asyncio.Event) -> Plan:
        """What the run would do, from the snapshot or from a pass over the queue."""
        wish = self._wish
        async with pictured(found.desk, wish.snapshot, wish.wait, stop) as picture:
            planner = Planner(
                self._errand(found),
                NoTarget() if wish.direct else QueueTarget(found.routes.of, ""),
                found.memory,
                traits_lookup(self._settings),
                now=time.time(),
                began_at=began_at,
                sample=max(SAMPLES, wish.canary or 0),
                elsewhere="(the destination)",
            )
            plan = await planner.plan(picture.messages)
        plan.unseen = picture.unseen
        return plan


def _undelivered(counts: Counts, count: int) -> str | None:
    """Why the canary forbids the rest, or None."""
    if counts.brought + counts.copies >= count:
        return None
    reasons = counts.as_json()["reasons"]
    why = "; ".join(f"{code}: {reason}" for code, reason in reasons.items())
    return (
        f"{count - counts.brought} of {count} canaries were not delivered"
        f" ({why or 'they were not found in the queue'}), so the rest stays"
    )
