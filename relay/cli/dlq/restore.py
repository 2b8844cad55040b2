"""`relay dlq restore`: messages of a snapshot or a backup back into a queue."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Annotated

import typer

from relay.aws.errors import AwsError
from relay.aws.sqs import Queue, open_queue
from relay.aws.sqs_values import QueueAttributes
from relay.cli.dlq import options as o
from relay.cli.dlq.input import of_this_queue, read_snapshot, reader
from relay.cli.dlq.options import filter_options
from relay.cli.dlq.output import Progress, stoppable
from relay.cli.dlq.queues import QueuePair, opened
from relay.cli.dlq.run import audit, conclude, ended, journal
from relay.cli.startup import EnvFile, fail, load_settings
from relay.dlq.dead_letter import DeadLetter
from relay.dlq.filters import Filter
from relay.dlq.queue_target import QueueTarget
from relay.dlq.restore import Restoring
from relay.dlq.selection import Selection
from relay.dlq.snapshot import Snapshot, Unreadable
from relay.dlq.targets import TargetQueue
from relay.settings.model import Settings


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
    settings = load_settings(env_file)
    meant = o.chosen(names, codes, ids, sources, since, until, attributes, where)
    work = _Restore(settings, _whole(snapshot), meant, to=to, as_json=as_json)
    asyncio.run(work.do(dlq, queue, journal_directory, yes=yes))


def _whole(path: Path) -> Snapshot:
    """The snapshot, read to its end once: what is damaged ends the command before it begins."""
    snapshot = read_snapshot(path)
    try:
        for _ in snapshot:
            pass
    except Unreadable as error:
        fail(str(error))
    return snapshot


class _Restore:
    """One restore."""

    def __init__(
        self,
        settings: Settings,
        snapshot: Snapshot,
        meant: Filter,
        *,
        to: str | None,
        as_json: bool,
    ) -> None:
        self._settings = settings
        self._snapshot = snapshot
        self._meant = meant
        self._to = to
        self._as_json = as_json

    async def do(
        self, dlq: str | None, main: str | None, directory: Path | None, *, yes: bool
    ) -> None:
        """Say what would happen, or do it and say how it ended."""
        async with (
            opened(self._settings, dlq, main) as desk,
            reader(self._settings, self._snapshot.head.main) as read,
            AsyncExitStack() as stack,
        ):
            if dlq is None and self._to is None:
                of_this_queue(self._snapshot.path, desk)
            selection = Selection(
                read=read, meant=self._meant.matches, modify=lambda letter: letter
            )
            queue = await _target(desk, self._to, stack)
            attributes = await queue.attributes()
            if yes:
                await self._put(
                    desk, directory, selection, TargetQueue(queue, attributes.maximum_size)
                )
            else:
                await self._show(selection, queue, attributes)

    async def _show(self, selection: Selection, queue: Queue, attributes: QueueAttributes) -> None:
        letters = [selection.meant(await selection.read(message)) for message in self._snapshot]
        held = attributes.visible + attributes.in_flight + attributes.delayed
        typer.echo(
            f"{sum(letters)} of {len(letters)} messages would be put into {queue.name}, which holds"
            f" {held} now"
        )
        typer.echo("relay: nothing was touched; --yes does it", err=True)

    async def _put(
        self, desk: QueuePair, directory: Path | None, selection: Selection, target: TargetQueue
    ) -> None:
        async def route(_letter: DeadLetter) -> TargetQueue:
            return target

        options = {
            **filter_options(self._meant),
            "snapshot": str(self._snapshot.path),
            "to": self._to,
        }
        with (
            journal(directory, desk, "restore", options) as kept,
            stoppable() as stop,
            Progress("restored", total=0) as progress,
        ):
            work = Restoring(kept, QueueTarget(route, kept.id), selection)
            going = work.execute(self._snapshot, stop, lambda counts: progress.at(counts.brought))
            counts = await ended(going, work.counts, kept)
            audit(self._settings, kept, "restore", options, counts)
            conclude(counts, kept, as_json=self._as_json, done="put back")


async def _target(desk: QueuePair, to: str | None, stack: AsyncExitStack) -> Queue:
    if to is None:
        return desk.queue
    try:
        return await stack.enter_async_context(open_queue(desk.session, to))
    except AwsError as error:
        fail(error.sentence)
