"""The snapshot that a command is limited to: whole, of the right queue, and how old it is."""

from __future__ import annotations

import asyncio
import contextlib
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path
from typing import TypeAlias

import typer

from relay.app.dlq import DeadLetterReader
from relay.aws.session import SharedSession
from relay.cli.dlq.output import stoppable
from relay.cli.dlq.pull import pulled
from relay.cli.dlq.queues import QueuePair, opened
from relay.cli.startup import USAGE, fail
from relay.dlq.dead_letter import DeadLetter
from relay.dlq.filters import Filter
from relay.dlq.snapshot import Head, Snapshot, Unreadable
from relay.dlq.statistics import expiry
from relay.model.message import Message
from relay.settings.model import Settings

Read: TypeAlias = Callable[[Message], Awaitable[DeadLetter]]


@contextlib.asynccontextmanager
async def reader(settings: Settings, main: str | None) -> AsyncIterator[Read]:
    """What reads a message; `main` is the name of the queue that they come from by default.

    A payload that cannot be had here leaves its letter sealed, which is told at the end.
    """
    async with contextlib.AsyncExitStack() as stack:
        reading = DeadLetterReader(settings, SharedSession(stack), main)
        try:
            yield reading.read
        finally:
            _complain(reading.unread)


def _complain(unread: Mapping[str, str]) -> None:
    """Say what was not read: filters on events pass over it."""
    if unread:
        why = next(iter(unread.values()))
        typer.echo(
            f"relay: the events of {len(unread)} messages are in S3 and were not read, so"
            f" no filter on events finds them: {why}",
            err=True,
        )


@dataclass(frozen=True, slots=True)
class Letters:
    """Letters on disk, read as often as they are asked for."""

    snapshot: Snapshot
    read: Read

    @property
    def head(self) -> Head:
        """Where and when they were taken."""
        return self.snapshot.head

    async def __aiter__(self) -> AsyncIterator[DeadLetter]:
        """Each letter. A damaged file ends the command."""
        try:
            for message in self.snapshot:
                yield await self.read(message)
        except Unreadable as error:
            fail(str(error))
        if self.snapshot.end is None:
            typer.echo(f"relay: {self.snapshot.path} was cut off: it has no end", err=True)
        elif not self.snapshot.end.complete:
            left = self.snapshot.end.left
            typer.echo(f"relay: the queue held {left or 'some'} more than is seen here", err=True)


@contextlib.asynccontextmanager
async def letters(
    settings: Settings, path: Path | None, dlq: str | None, main: str | None, wait: float
) -> AsyncIterator[Letters]:
    """The snapshot's letters, or without one those that are in the queue now."""
    async with contextlib.AsyncExitStack() as stack:
        if path is None:
            directory = stack.enter_context(tempfile.TemporaryDirectory(prefix="relay-dlq-"))
            path = Path(directory, "now.jsonl")
            await _pull(settings, dlq, main, path, wait)
        snapshot = read_snapshot(path)
        read = await stack.enter_async_context(reader(settings, snapshot.head.main))
        yield Letters(snapshot, read)


def read_snapshot(path: Path) -> Snapshot:
    """The snapshot; one that cannot be read ends the command."""
    try:
        return Snapshot(path)
    except Unreadable as error:
        fail(str(error), code=USAGE)


async def _pull(
    settings: Settings, dlq: str | None, main: str | None, path: Path, wait: float
) -> None:
    async with opened(settings, dlq, main) as desk:
        with stoppable() as stop:
            await pulled(desk, path, wait, stop)


def of_this_queue(path: Path, desk: QueuePair) -> Snapshot:
    """The snapshot; one that cannot be read or is of another queue ends the command."""
    snapshot = read_snapshot(path)
    if snapshot.head.arn != desk.queue.arn:
        fail(
            f"{path} is of the queue {snapshot.head.queue}, and this is {desk.queue.name}: name the"
            " right one with --dlq",
            code=USAGE,
        )
    return snapshot


async def among(
    path: Path | None, desk: QueuePair, read: Read, meant: Filter
) -> frozenset[str] | None:
    """MessageIds of what is meant in the snapshot; None where none is named.

    One that is damaged or of another queue ends the command.
    """
    if path is None:
        return None
    snapshot = of_this_queue(path, desk)
    try:
        if meant.empty:
            return frozenset(message.message_id for message in snapshot)
        found = [m.message_id for m in snapshot if meant.matches(await read(m))]
    except Unreadable as error:
        fail(str(error))
    return frozenset(found)


@dataclass(frozen=True, slots=True)
class Picture:
    """The queue as it is told to be. `unseen` counts what a run would look at besides."""

    messages: Iterator[Message]
    unseen: int = 0


@asynccontextmanager
async def pictured(
    desk: QueuePair, path: Path | None, wait: float, stop: asyncio.Event
) -> AsyncIterator[Picture]:
    """The messages of the snapshot that are still there, or without one of the queue as it is now.

    What is not seen, and what SQS has deleted since, is told on standard error.
    """
    with tempfile.TemporaryDirectory(prefix="relay-dlq-") as directory:
        unseen = 0
        if path is None:
            unseen = await _pulled_now(desk, Path(directory, "now.jsonl"), wait, stop)
        snapshot = Snapshot(path or Path(directory, "now.jsonl"))
        seen = takewhile(lambda _: not stop.is_set(), snapshot)
        yield Picture(seen if path is None else _present(seen, desk), unseen)


async def _pulled_now(desk: QueuePair, path: Path, wait: float, stop: asyncio.Event) -> int:
    end, reach = await pulled(desk, path, wait, stop)
    if not (end.complete or stop.is_set()):
        typer.echo(
            f"relay: seen are {end.count} messages, and a run would go on to {end.left} more:"
            f" {reach.why}",
            err=True,
        )
    return end.left


def _present(messages: Iterator[Message], desk: QueuePair) -> Iterator[Message]:
    now, gone = time.time(), 0
    for message in messages:
        ends = expiry(message, desk.attributes.retention, fifo=desk.queue.fifo)
        if ends is not None and ends.exact and ends.at <= now:
            gone += 1
        else:
            yield message
    if gone:
        typer.echo(
            f"relay: {gone} of the messages in the snapshot are older than the queue keeps them, so"
            " SQS has deleted them: `relay dlq restore` puts them back",
            err=True,
        )
