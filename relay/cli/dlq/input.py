"""The dead letters that a command works on: from a snapshot, or from the queue as it is now."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from relay.app.dlq import DeadLetterReader
from relay.aws.session import SharedSession
from relay.cli.dlq.output import watching
from relay.cli.dlq.pull import pulled
from relay.cli.dlq.queues import open_queues
from relay.cli.startup import USAGE, fail
from relay.dlq.dead_letter import DeadLetter
from relay.dlq.queue_pair import QueuePair
from relay.dlq.snapshot import Head, Snapshot, Unreadable
from relay.model.message import Message
from relay.output.terminal import echo
from relay.settings.model import Settings

Read: TypeAlias = Callable[[Message], Awaitable[DeadLetter]]


@asynccontextmanager
async def open_reader(settings: Settings, main: str | None) -> AsyncIterator[Read]:
    """A function that reads messages; `main` is the name of their source queue by default.

    Payloads that could not be fetched are reported when the block ends.
    """
    async with contextlib.AsyncExitStack() as stack:
        reader = DeadLetterReader(settings, SharedSession(stack), main)
        try:
            yield reader.read
        finally:
            report_unread(reader.unread)


def report_unread(unread: Mapping[str, str]) -> None:
    """Say how many payloads in S3 were not read, and why one of them was not."""
    if unread:
        why = next(iter(unread.values()))
        echo(
            f"relay: the events of {len(unread)} messages are in S3 and were not read, so filters"
            f" on events do not match them: {why}",
            err=True,
        )


@dataclass(frozen=True, slots=True)
class DeadLetters:
    """The dead letters of a snapshot; each iteration reads the file again."""

    snapshot: Snapshot
    read: Read

    @property
    def head(self) -> Head:
        """Where and when the snapshot was taken."""
        return self.snapshot.head

    async def __aiter__(self) -> AsyncIterator[DeadLetter]:
        """Each dead letter. A damaged file ends the command."""
        try:
            for message in self.snapshot:
                yield await self.read(message)
        except Unreadable as error:
            fail(str(error))
        if self.snapshot.end is None:
            echo(f"relay: {self.snapshot.path} was cut off: its end is missing", err=True)
        elif not self.snapshot.end.complete:
            left = self.snapshot.end.left or "some"
            echo(f"relay: the queue had {left} more messages than shown here", err=True)


@asynccontextmanager
async def open_dead_letters(
    settings: Settings, path: Path | None, dlq: str | None, main: str | None, wait: float
) -> AsyncIterator[DeadLetters]:
    """The dead letters of the snapshot, or without one those that are in the queue now."""
    async with contextlib.AsyncExitStack() as stack:
        if path is None:
            directory = stack.enter_context(tempfile.TemporaryDirectory(prefix="relay-dlq-"))
            path = Path(directory, "now.jsonl")
            await _pull(settings, dlq, main, path, wait)
        snapshot = read_snapshot(path)
        read = await stack.enter_async_context(open_reader(settings, snapshot.head.main))
        yield DeadLetters(snapshot, read)


async def _pull(
    settings: Settings, dlq: str | None, main: str | None, path: Path, wait: float
) -> None:
    async with open_queues(settings, dlq, main) as queues:
        with watching() as watch:
            await pulled(queues, path, watch, wait)


def read_snapshot(path: Path) -> Snapshot:
    """The snapshot. One that cannot be read ends the command."""
    try:
        return Snapshot(path)
    except Unreadable as error:
        fail(str(error), code=USAGE)


def snapshot_of_queue(path: Path, queues: QueuePair) -> Snapshot:
    """The snapshot. One that cannot be read or is of another queue ends the command."""
    snapshot = read_snapshot(path)
    if snapshot.head.arn != queues.dead.arn:
        fail(
            f"{path} is a snapshot of the queue {snapshot.head.queue}, not of {queues.dead.name}:"
            " name the right queue with --dlq",
            code=USAGE,
        )
    return snapshot
