"""The dead letters that a command works on: from a snapshot, or from the queue as it is now."""

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

from relay.app.dlq import DeadLetterReader
from relay.aws.session import SharedSession
from relay.cli.dlq.output import stoppable
from relay.cli.dlq.pull import pull_snapshot
from relay.cli.dlq.queues import QueuePair, open_queues
from relay.cli.startup import USAGE, fail
from relay.dlq.dead_letter import DeadLetter
from relay.dlq.filters import Filter
from relay.dlq.snapshot import Head, Snapshot, Unreadable
from relay.dlq.statistics import expiry
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
            _report_unread(reader.unread)


def _report_unread(unread: Mapping[str, str]) -> None:
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
        with stoppable() as stop:
            await pull_snapshot(queues, path, wait, stop)


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


async def snapshot_ids(
    path: Path | None, queues: QueuePair, read: Read, filters: Filter
) -> frozenset[str] | None:
    """MessageIds in the snapshot that match the filters; None if there is no snapshot.

    A snapshot that is damaged or of another queue ends the command.
    """
    if path is None:
        return None
    snapshot = snapshot_of_queue(path, queues)
    try:
        if filters.empty:
            return frozenset(message.message_id for message in snapshot)
        matching = [m.message_id for m in snapshot if filters.matches(await read(m))]
    except Unreadable as error:
        fail(str(error))
    return frozenset(matching)


@dataclass(frozen=True, slots=True)
class PlanInput:
    """The messages that a plan covers. `not_received` counts those that a run might meet too."""

    messages: Iterator[Message]
    not_received: int = 0


@asynccontextmanager
async def plan_input(
    queues: QueuePair, path: Path | None, wait: float, stop: asyncio.Event
) -> AsyncIterator[PlanInput]:
    """The snapshot's messages that still exist, or without a snapshot those in the queue now.

    Messages that were not received, or that SQS has deleted since, are reported on standard error.
    """
    with tempfile.TemporaryDirectory(prefix="relay-dlq-") as directory:
        not_received = 0
        if path is None:
            not_received = await _pull_for_plan(queues, Path(directory, "now.jsonl"), wait, stop)
        snapshot = Snapshot(path or Path(directory, "now.jsonl"))
        messages = takewhile(lambda _: not stop.is_set(), snapshot)
        yield PlanInput(messages if path is None else _existing(messages, queues), not_received)


async def _pull_for_plan(queues: QueuePair, path: Path, wait: float, stop: asyncio.Event) -> int:
    end, coverage = await pull_snapshot(queues, path, wait, stop)
    if not (end.complete or stop.is_set()):
        echo(
            f"relay: this covers {end.count} messages, and a run may reach {end.left} more:"
            f" {coverage.why}",
            err=True,
        )
    return end.left


def _existing(messages: Iterator[Message], queues: QueuePair) -> Iterator[Message]:
    now, gone = time.time(), 0
    for message in messages:
        expires = expiry(message, queues.attributes.retention, fifo=queues.dead.fifo)
        if expires is not None and expires.exact and expires.at <= now:
            gone += 1
        else:
            yield message
    if gone:
        echo(
            f"relay: {gone} of the messages in the snapshot are older than the queue's retention:"
            " SQS has deleted them, and `relay dlq restore` puts them back",
            err=True,
        )
