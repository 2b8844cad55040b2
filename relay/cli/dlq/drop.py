"""`relay dlq drop`: deletes dead letters after a backup and a confirmation."""

from __future__ import annotations

import asyncio
import sys
import time
from pathlib import Path
from typing import Annotated

import typer

from relay.app.destinations.traits import traits_lookup
from relay.cli.dlq import options as o
from relay.cli.dlq import output
from relay.cli.dlq.input import Read, open_reader, plan_input
from relay.cli.dlq.options import filter_options
from relay.cli.dlq.output import PARTIAL, stoppable
from relay.cli.dlq.queues import QueuePair, open_queues
from relay.cli.dlq.run import audit, execute, open_journal, report
from relay.cli.startup import USAGE, EnvFile, fail, load_settings
from relay.dlq.filters import Filter
from relay.dlq.plan import Plan, Planner
from relay.dlq.selection import RunControl, Selection
from relay.dlq.targets import NoTarget
from relay.output.terminal import echo, prompt
from relay.settings.model import Settings


def command(  # noqa: PLR0913 - a parameter for each option
    *,
    names: o.Names = None,
    codes: o.Codes = None,
    ids: o.Ids = None,
    sources: o.Sources = None,
    since: o.Since = None,
    until: o.Until = None,
    attributes: o.Attributes = None,
    where: o.Where = None,
    confirm: Annotated[
        str | None,
        typer.Option(
            metavar="NAME", help="The dead-letter queue's name; without it, the command asks."
        ),
    ] = None,
    journal_directory: o.JournalDirectory = None,
    as_json: o.AsJson = False,
    dlq: o.Dlq = None,
    queue: o.Main = None,
    wait: o.Wait = 1.0,
    lease: o.Lease = 120.0,
    env_file: EnvFile = None,
) -> None:
    """Delete the dead letters that match the filters; at least one filter must be given.

    Shows what would be deleted, then asks for the queue's name. Each message is backed up before it
    is deleted, and `relay dlq restore` can put it back. No command empties a queue.
    """
    settings = load_settings(env_file)
    filters = o.build_filter(names, codes, ids, sources, since, until, attributes, where)
    if filters.empty:
        fail("give at least one filter that says what to drop", code=USAGE)
    drop = Drop(settings, filters, wait=wait, lease=lease, as_json=as_json)
    asyncio.run(drop.execute(dlq, queue, journal_directory, confirm))


class Drop:
    """One drop."""

    def __init__(
        self, settings: Settings, filters: Filter, *, wait: float, lease: float, as_json: bool
    ) -> None:
        self._settings = settings
        self._filters = filters
        self._wait = wait
        self._lease = lease
        self._as_json = as_json

    async def execute(
        self, dlq: str | None, main: str | None, directory: Path | None, confirmed: str | None
    ) -> None:
        """Show what would be deleted, ask for confirmation, and delete it."""
        async with open_queues(self._settings, dlq, main) as queues:
            name = queues.main.name if queues.main else None
            async with open_reader(self._settings, name) as read:
                selection = self._selection(read)
                planned_at = time.time()
                plan = await self._plan(queues, selection, planned_at)
                matching = plan.selected or plan.duplicates or plan.not_received
                if confirmed is None and not matching:
                    echo("relay: nothing matches the filters: nothing was dropped", err=True)
                    return
                _confirm(queues.dead.name, confirmed)
                # What arrives after the plan was not shown, so it was not confirmed.
                await self._drop(queues, selection, directory, began_at=planned_at)

    def _selection(self, read: Read) -> Selection:
        return Selection(
            read=read,
            includes=self._filters.matches,
            modify=lambda dead_letter: dead_letter,
            max_hops=sys.maxsize,
            every_message=True,
        )

    async def _plan(self, queues: QueuePair, selection: Selection, now: float) -> Plan:
        with stoppable() as stop:
            async with plan_input(queues, None, self._wait, stop) as given:
                planner = Planner(
                    selection,
                    NoTarget(),
                    None,
                    traits_lookup(self._settings),
                    now=now,
                    began_at=now,
                    target_name="nowhere",
                )
                plan = await planner.plan(given.messages)
            if stop.is_set():
                fail("stopped: nothing was dropped", code=PARTIAL)
        output.show_drop(plan, queues.dead.name)
        return plan

    async def _drop(
        self,
        queues: QueuePair,
        selection: Selection,
        directory: Path | None,
        *,
        began_at: float,
    ) -> None:
        options = filter_options(self._filters)
        opening = open_journal(directory, queues, "drop", options, began_at=began_at)
        with opening as journal, stoppable() as stop:
            control = RunControl(stop)
            counts = await execute(
                queues,
                journal,
                NoTarget(),
                selection,
                control,
                wait=self._wait,
                lease=self._lease,
            )
            audit(self._settings, journal, "dlq drop", options, counts)
            report(counts, journal, as_json=self._as_json, done="dropped")


def _confirm(name: str, given: str | None) -> None:
    typed = given if given is not None else prompt(f"Type {name} to drop them")
    if typed != name:
        fail(f"nothing was dropped: {typed!r} is not the queue's name", code=USAGE)
