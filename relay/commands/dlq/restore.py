"""`relay dlq restore`: messages of a snapshot or a backup back into a queue."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Annotated

import typer

from relay.aws.sqs import open_queue
from relay.commands.configured import EnvFile, configured
from relay.commands.dlq import options as o
from relay.commands.dlq.letters import read_snapshot
from relay.commands.dlq.progress import Progress
from relay.commands.dlq.queues import opened
from relay.commands.dlq.reading import reader
from relay.commands.dlq.stopping import stoppable
from relay.commands.dlq.wish import filter_options
from relay.commands.dlq.working import audit, conclude, journal
from relay.commands.failure import fail
from relay.dlq.errand import Errand
from relay.dlq.filters import Filter
from relay.dlq.letter import Letter
from relay.dlq.queue_road import QueueRoad
from relay.dlq.restoring import Restoring
from relay.dlq.routes import Target
from relay.dlq.snapshot import Snapshot, Unreadable
from relay.settings import Settings


def command(  # noqa: PLR0913 - a parameter for each option
    snapshot: Annotated[Path, typer.Argument(help="A snapshot, or a backup of another command.")],
    *,
    names: o.Names = None,
    codes: o.Codes = None,
    ids: o.Ids = None,
    sources: o.Sources = None,
    since: o.Since = None,
    until: o.Until = None,
    attributes: o.Attributes = None,
    where: o.Where = None,
    to: Annotated[
        str | None, typer.Option(metavar="QUEUE", help="To this queue, not the dead-letter queue.")
    ] = None,
    yes: o.Yes = False,
    journal_directory: o.JournalDirectory = None,
    as_json: o.AsJson = False,
    dlq: o.Dlq = None,
    queue: o.Main = None,
    env_file: EnvFile = None,
) -> None:
    """Put messages back that were dropped, expired or lost.

    They are new messages with everything they carried; the ids of their events stay what they were.
    What is still in the queue would be there twice. The whole file is checked before anything is
    sent.
    """
    settings = configured(env_file)
    meant = o.chosen(names, codes, ids, sources, since, until, attributes, where)
    found = read_snapshot(snapshot)
    count = _checked(found)
    if not yes:
        typer.echo(f"up to {count} messages would be put back")
        typer.echo("relay: nothing was touched; --yes does it", err=True)
        return
    asyncio.run(_restore(settings, found, meant, dlq, queue, to, journal_directory, as_json))


def _checked(snapshot: Snapshot) -> int:
    try:
        return sum(1 for _ in snapshot)
    except Unreadable as error:
        fail(str(error))


async def _restore(
    settings: Settings,
    snapshot: Snapshot,
    meant: Filter,
    dlq: str | None,
    main: str | None,
    to: str | None,
    directory: Path | None,
    as_json: bool,  # noqa: FBT001 - as said
) -> None:
    options = {**filter_options(meant), "snapshot": str(snapshot.path), "to": to}
    async with (
        opened(settings, dlq, main) as desk,
        reader(settings, snapshot.head.main) as read,
        open_queue(desk.session, to or desk.queue.url) as queue,
    ):
        target = Target(queue, (await queue.attributes()).maximum_size)

        async def route(_letter: Letter) -> Target:
            return target

        errand = Errand(read=read, meant=meant.matches, alter=lambda letter: letter)
        with (
            journal(directory, desk, "restore", options) as kept,
            stoppable() as stop,
            Progress("restored", total=0) as progress,
        ):
            work = Restoring(kept, QueueRoad(route, kept.id), errand)
            tally = await work.carry_out(snapshot, stop, lambda tally: progress.at(tally.brought))
            audit(settings, kept, "restore", options, tally)
            conclude(tally, kept, as_json=as_json, done="put back")
