"""`relay dlq restore`: puts messages of a snapshot or a backup back into a queue."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from relay.app.audit import audit
from relay.app.redrive_options import restore_options
from relay.aws.errors import AwsError
from relay.aws.sqs import Queue, open_queue
from relay.cli.dlq import options as o
from relay.cli.dlq.input import open_reader, read_snapshot, snapshot_of_queue
from relay.cli.dlq.output import watching
from relay.cli.dlq.queues import open_queues
from relay.cli.dlq.run import open_journal, report
from relay.cli.startup import EnvFile, fail, load_settings
from relay.dlq.filters import Filter
from relay.dlq.queue_pair import QueuePair
from relay.dlq.restore import Restore, RestorePlan
from relay.dlq.snapshot import Snapshot, Unreadable
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
    command = _Command(settings, _checked(snapshot), filters, to=to, as_json=as_json)
    asyncio.run(command.run(dlq, queue, journal_directory, yes=yes))


def _checked(path: Path) -> Snapshot:
    """The snapshot, read to its end once: a damaged one ends the command before it begins."""
    snapshot = read_snapshot(path)
    try:
        for _ in snapshot:
            pass
    except Unreadable as error:
        fail(str(error))
    return snapshot


class _Command:
    """Prints what would happen, or restores and prints the result."""

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

    async def run(
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
            queue = await _target(queues, self._to, stack)
            with watching() as watch:
                restore = Restore(self._snapshot, read, self._filters, queue, watch)
                if yes:
                    await self._execute(restore, queues, directory)
                else:
                    self._show(await restore.plan())

    def _show(self, plan: RestorePlan) -> None:
        if self._as_json:
            echo_json({"type": "restore_plan", **asdict(plan)})
        else:
            echo(
                f"{plan.selected} of {plan.examined} messages would be put into {plan.queue}, which"
                f" has {plan.waiting} now"
            )
        echo("relay: nothing was changed; --yes does it", err=True)

    async def _execute(self, restore: Restore, queues: QueuePair, directory: Path | None) -> None:
        options = restore_options(self._filters, self._snapshot.path, self._to)
        with open_journal(directory, queues, "restore", options) as journal:
            counts = await restore.execute(journal)
            audit(self._settings, journal, "restore", options, counts)
            report(counts, journal, as_json=self._as_json, done="restored")


async def _target(queues: QueuePair, to: str | None, stack: AsyncExitStack) -> Queue:
    if to is None:
        return queues.dead
    try:
        return await stack.enter_async_context(open_queue(queues.session, to))
    except AwsError as error:
        fail(error.sentence)
