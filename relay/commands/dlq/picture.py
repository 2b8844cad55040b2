"""The snapshot that a command is limited to: whole, of the right queue, and how old it is."""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path

import typer

from relay.commands.dlq.letters import read_snapshot
from relay.commands.dlq.pull import pulled
from relay.commands.dlq.queues import Desk
from relay.commands.dlq.reading import Read
from relay.commands.failure import USAGE, fail
from relay.dlq.expiry import expiry
from relay.dlq.filters import Filter
from relay.dlq.snapshot import Snapshot, Unreadable
from relay.message import Message


def of_this_queue(path: Path, desk: Desk) -> Snapshot:
    """The snapshot; one that cannot be read or is of another queue ends the command."""
    snapshot = read_snapshot(path)
    if snapshot.head.arn != desk.queue.arn:
        fail(
            f"{path} is of the queue {snapshot.head.queue}, and this is {desk.queue.name}: name the"
            " right one with --dlq",
            code=USAGE,
        )
    return snapshot


async def among(path: Path | None, desk: Desk, read: Read, meant: Filter) -> frozenset[str] | None:
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
    desk: Desk, path: Path | None, wait: float, stop: asyncio.Event
) -> AsyncIterator[Picture]:
    """The messages of the snapshot that are still there, or without one of the queue as it is now.

    What is not seen, and what SQS has deleted since, is told on standard error.
    """
    with tempfile.TemporaryDirectory(prefix="relay-dlq-") as directory:
        unseen = 0
        if path is None:
            unseen = await _pull(desk, Path(directory, "now.jsonl"), wait, stop)
        snapshot = Snapshot(path or Path(directory, "now.jsonl"))
        seen = takewhile(lambda _: not stop.is_set(), snapshot)
        yield Picture(seen if path is None else _present(seen, desk), unseen)


async def _pull(desk: Desk, path: Path, wait: float, stop: asyncio.Event) -> int:
    end, reach = await pulled(desk, path, wait, stop)
    if not (end.complete or stop.is_set()):
        typer.echo(
            f"relay: seen are {end.count} messages, and a run would go on to {end.left} more:"
            f" {reach.why}",
            err=True,
        )
    return end.left


def _present(messages: Iterator[Message], desk: Desk) -> Iterator[Message]:
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
