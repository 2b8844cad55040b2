"""`relay dlq drop`: delete dead letters, after a backup and with the queue's name typed."""

from __future__ import annotations

import asyncio
import sys
import time
from pathlib import Path
from typing import Annotated, Any

import typer

from relay.app.destinations.traits import traits_lookup
from relay.cli.dlq import options as o
from relay.cli.dlq import output
from relay.cli.dlq.input import pictured, reader
from relay.cli.dlq.options import filter_options
from relay.cli.dlq.output import PARTIAL, stoppable
from relay.cli.dlq.queues import QueuePair, opened
from relay.cli.dlq.run import audit, conclude, execute, journal
from relay.cli.startup import USAGE, EnvFile, fail, load_settings
from relay.dlq.filters import Filter
from relay.dlq.plan import Plan, Planner
from relay.dlq.selection import RunControl, Selection
from relay.dlq.targets import NoTarget
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
        typer.Option(metavar="NAME", help="The dead-letter queue's name, else it is asked for."),
    ] = None,
    journal_directory: o.JournalDirectory = None,
    as_json: o.AsJson = False,
    dlq: o.Dlq = None,
    queue: o.Main = None,
    wait: o.Wait = 1.0,
    lease: o.Lease = 120.0,
    env_file: EnvFile = None,
) -> None:
    """Delete the dead letters that pass the filters, of which there must be one at least.

    What would go is shown, and then the queue's name has to be typed. Each message is backed up
    before it is deleted; `relay dlq restore` puts it back. There is no command that deletes all.
    """
    settings = load_settings(env_file)
    meant = o.chosen(names, codes, ids, sources, since, until, attributes, where)
    if meant.empty:
        fail("say with a filter what to drop", code=USAGE)
    work = Dropping(settings, meant, wait=wait, lease=lease, as_json=as_json)
    asyncio.run(work.do(dlq, queue, journal_directory, confirm))


class Dropping:
    """One drop."""

    def __init__(
        self, settings: Settings, meant: Filter, *, wait: float, lease: float, as_json: bool
    ) -> None:
        self._settings = settings
        self._meant = meant
        self._pass: dict[str, Any] = {"wait": wait, "lease": lease}
        self._as_json = as_json

    async def do(
        self, dlq: str | None, main: str | None, directory: Path | None, confirmed: str | None
    ) -> None:
        """Show, ask, do it."""
        async with opened(self._settings, dlq, main) as desk:
            name = desk.main.name if desk.main else None
            async with reader(self._settings, name) as read:
                selection = Selection(
                    read=read,
                    meant=self._meant.matches,
                    modify=lambda letter: letter,
                    max_hops=sys.maxsize,
                    each=True,
                )
                looked_at = time.time()
                plan = await self._show(desk, selection, looked_at)
                if confirmed is None and not (plan.goes or plan.copies or plan.unseen):
                    typer.echo("relay: nothing passes the filters: nothing was dropped", err=True)
                    return
                _confirm(desk.queue.name, confirmed)
                options = filter_options(self._meant)
                # What comes after the look was not shown, so it is not what was confirmed.
                begun = journal(directory, desk, "drop", options, began_at=looked_at)
                with begun as kept, stoppable() as stop:
                    control = RunControl(stop)
                    counts = await execute(desk, kept, NoTarget(), selection, control, **self._pass)
                    audit(self._settings, kept, "drop", options, counts)
                    conclude(counts, kept, as_json=self._as_json, done="dropped")

    async def _show(self, desk: QueuePair, selection: Selection, now: float) -> Plan:
        with stoppable() as stop:
            async with pictured(desk, None, self._pass["wait"], stop) as picture:
                planner = Planner(
                    selection,
                    NoTarget(),
                    None,
                    traits_lookup(self._settings),
                    now=now,
                    began_at=now,
                    elsewhere="nowhere",
                )
                plan = await planner.plan(picture.messages)
            if stop.is_set():
                fail("stopped: nothing was dropped", code=PARTIAL)
        output.show_drop(plan, desk.queue.name)
        return plan


def _confirm(name: str, given: str | None) -> None:
    typed = given if given is not None else typer.prompt(f"Type {name} to drop them", err=True)
    if typed != name:
        fail(f"nothing was dropped: {typed!r} is not the queue's name", code=USAGE)
