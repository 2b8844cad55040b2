"""`relay dlq drop`: deletes dead letters after a backup and a confirmation."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Annotated

import typer

from relay.app.audit import audit
from relay.app.destinations.traits import traits_lookup
from relay.app.redrive_options import filter_options
from relay.cli.dlq import options as o
from relay.cli.dlq.input import open_reader, snapshot_of_queue
from relay.cli.dlq.output import PARTIAL, watching
from relay.cli.dlq.plan_view import show_drop
from relay.cli.dlq.queues import open_queues
from relay.cli.dlq.run import open_journal, report
from relay.cli.startup import USAGE, EnvFile, fail, load_settings
from relay.dlq.drop import Drop
from relay.dlq.execution import Pace
from relay.dlq.filters import Filter
from relay.dlq.queue_pair import QueuePair
from relay.dlq.snapshot import Unreadable
from relay.dlq.watch import Watch
from relay.output.terminal import echo, prompt
from relay.settings.model import Settings

EXAMPLES = (
    "relay dlq drop --code sns_confirmation",
    "relay dlq drop --code not_json --snapshot night.jsonl",
    "relay dlq drop --id 0a7c --confirm shop-events-dlq",
)


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
    snapshot: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Only messages that are in this snapshot and match the filters.",
        ),
    ] = None,
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
    pace = Pace(wait=wait, lease=lease)
    dropping = _drop(
        settings,
        filters,
        pace,
        dlq,
        queue,
        journal_directory,
        confirm,
        snapshot=snapshot,
        as_json=as_json,
    )
    asyncio.run(dropping)


async def _drop(  # noqa: PLR0913 - as `command`
    settings: Settings,
    filters: Filter,
    pace: Pace,
    dlq: str | None,
    main: str | None,
    directory: Path | None,
    confirmed: str | None,
    *,
    snapshot: Path | None,
    as_json: bool,
) -> None:
    """Show what would be deleted, ask for confirmation, and delete it."""
    async with open_queues(settings, dlq, main) as queues:
        if snapshot is not None:
            _checked(snapshot, queues)
        name = queues.main.name if queues.main else None

        def create(watch: Watch) -> Drop:
            traits_of = traits_lookup(settings)
            return Drop(queues, read, filters, traits_of, pace, watch, snapshot=snapshot)

        async with open_reader(settings, name) as read:
            with watching() as watch:
                planned_at = time.time()
                plan = await create(watch).plan()
            if watch.stop.is_set():
                fail("stopped: nothing was dropped", code=PARTIAL)
            show_drop(plan, queues.dead.name)
            if confirmed is None and not (plan.selected or plan.not_received):
                echo("relay: nothing matches the filters: nothing was dropped", err=True)
                return
            _confirm(queues.dead.name, confirmed)
            options = filter_options(filters)
            # What arrives after the plan was not shown, so it was not confirmed.
            opening = open_journal(directory, queues, "drop", options, began_at=planned_at)
            with opening as journal, watching() as watch:
                counts = await create(watch).execute(journal, total=plan.selected)
                audit(settings, journal, "drop", options, counts)
                report(counts, journal, as_json=as_json, done="dropped")


def _checked(path: Path, queues: QueuePair) -> None:
    """Read the snapshot to its end once: a damaged one ends the command before it begins."""
    try:
        for _ in snapshot_of_queue(path, queues):
            pass
    except Unreadable as error:
        fail(str(error))


def _confirm(name: str, given: str | None) -> None:
    typed = given if given is not None else prompt(f"Type {name} to drop them")
    if typed != name:
        fail(f"nothing was dropped: {typed!r} is not the queue's name", code=USAGE)
