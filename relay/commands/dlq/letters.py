"""The letters that a looking command reads: from a snapshot, or from the queue pulled just now."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import typer

from relay.commands.dlq.pull import pulled
from relay.commands.dlq.queues import opened
from relay.commands.dlq.reading import Read, reader
from relay.commands.dlq.stopping import stoppable
from relay.commands.failure import USAGE, fail
from relay.dlq.letter import Letter
from relay.dlq.snapshot import Head, Snapshot, Unreadable
from relay.settings import Settings


@dataclass(frozen=True, slots=True)
class Letters:
    """Letters on disk, read as often as they are asked for."""

    snapshot: Snapshot
    read: Read

    @property
    def head(self) -> Head:
        """Where and when they were taken."""
        return self.snapshot.head

    async def __aiter__(self) -> AsyncIterator[Letter]:
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
