"""`relay dlq restore`: puts messages of a snapshot or a backup back into a queue."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Annotated

import typer

from relay.app.audit import audit
from relay.app.redrive_options import filter_options
from relay.aws.errors import AwsError
from relay.aws.sqs import Queue, open_queue
from relay.aws.sqs_values import QueueAttributes
from relay.cli.dlq import options as o
from relay.cli.dlq.input import open_reader, read_snapshot, snapshot_of_queue
from relay.cli.dlq.output import Progress, stoppable
from relay.cli.dlq.queues import open_queues
from relay.cli.dlq.run import open_journal, report
from relay.cli.startup import EnvFile, fail, load_settings
from relay.dlq.dead_letter import DeadLetter
from relay.dlq.execution import counts_of
from relay.dlq.filters import Filter
from relay.dlq.queue_pair import QueuePair
from relay.dlq.queue_target import QueueTarget
from relay.dlq.restore import Restore
from relay.dlq.selection import Selection
from relay.dlq.snapshot import Snapshot, Unreadable
from relay.dlq.targets import TargetQueue
from relay.output.terminal import echo, echo_json
from relay.settings.model import Settings

EXAMPLES = (
    "relay dlq restore night/backup.jsonl",
    "relay dlq restore night/backup.jsonl --code not_json --yes",
)


def command(  # noqa: PLR0913 - a parameter for each option
    snapshot: Annotated[
        Path,
        typer.Argument(metavar="SNAPSHOT", help="A snapshot, or the backup of another command."),
    ],
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
        str | None,
        typer.Option(metavar="QUEUE", help="Send to this queue instead of the dead-letter queue."),
    ] = None,
    yes: o.Yes = False,
    journal_directory: o.JournalDirectory = None,
    as_json: o.AsJson = False,
    dlq: o.Dlq = None,
    queue: o.Main = None,
    env_file: EnvFile = None,
) -> None:
    """Put messages of a snapshot or a backup back into a queue.

    Use it for messages that were dropped, expired or lost. They are sent as new messages with the
    same content; the ids of their events do not change. Messages that are still in the queue will
    be in it twice. The whole file is checked before anything is sent.
    """
    settings = load_settings(env_file)
    filters = o.build_filter(names, codes, ids, sources, since, until, attributes, where)
    restore = _Restore(settings, _checked(snapshot), filters, to=to, as_json=as_json)
    asyncio.run(restore.execute(dlq, queue, journal_directory, yes=yes))


def _checked(path: Path) -> Snapshot:
    """The snapshot, read to its end once: a damaged one ends the command before it begins."""
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
        filters: Filter,
        *,
        to: str | None,
        as_json: bool,
    ) -> None:
        self._settings = settings
        self._snapshot = snapshot
        self._filters = filters
        self._to = to
        self._as_json = as_json

    async def execute(
        self, dlq: str | None, main: str | None, directory: Path | None, *, yes: bool
    ) -> None:
        """Print what would happen, or send and print the result."""
        async with (
            open_queues(self._settings, dlq, main) as queues,
            open_reader(self._settings, self._snapshot.head.main) as read,
            AsyncExitStack() as stack,
        ):
            if dlq is None and self._to is None:
                snapshot_of_queue(self._snapshot.path, queues)
            selection = Selection(
                read=read, includes=self._filters.matches, modify=lambda dead_letter: dead_letter
            )
            queue = await _target(queues, self._to, stack)
            attributes = await queue.attributes()
            if yes:
                target = TargetQueue(queue, attributes.maximum_size)
                await self._send(queues, directory, selection, target)
            else:
                await self._show(selection, queue, attributes)

    async def _show(self, selection: Selection, queue: Queue, attributes: QueueAttributes) -> None:
        matching = [selection.includes(await selection.read(one)) for one in self._snapshot]
        count = attributes.visible + attributes.in_flight + attributes.delayed
        if self._as_json:
            fields = {"queue": queue.name, "waiting": count}
            matched = {"examined": len(matching), "selected": sum(matching)}
            echo_json({"type": "restore_plan", **fields, **matched})
        else:
            echo(
                f"{sum(matching)} of {len(matching)} messages would be put into {queue.name}, which"
                f" has {count} now"
            )
        echo("relay: nothing was changed; --yes does it", err=True)

    async def _send(
        self, queues: QueuePair, directory: Path | None, selection: Selection, target: TargetQueue
    ) -> None:
        async def route(_dead_letter: DeadLetter) -> TargetQueue:
            return target

        options = {
            **filter_options(self._filters),
            "snapshot": str(self._snapshot.path),
            "to": self._to,
        }
        with (
            open_journal(directory, queues, "restore", options) as journal,
            stoppable() as stop,
            Progress("restored", total=None) as progress,
        ):
            restore = Restore(journal, QueueTarget(route, journal.id), selection)
            running = restore.execute(self._snapshot, stop, lambda counts: progress.at(counts.done))
            counts = await counts_of(running, restore.counts, journal)
            audit(self._settings, journal, "restore", options, counts)
            report(counts, journal, as_json=self._as_json, done="restored")


async def _target(queues: QueuePair, to: str | None, stack: AsyncExitStack) -> Queue:
    if to is None:
        return queues.dead
    try:
        return await stack.enter_async_context(open_queue(queues.session, to))
    except AwsError as error:
        fail(error.sentence)
