"""Reading dead letters for a command, which says at its end what was not read."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import TypeAlias

import typer

from relay.dlq.letter import Letter
from relay.message import Message
from relay.settings import Settings
from relay.wiring.letters import Reading
from relay.wiring.session import SharedSession

Read: TypeAlias = Callable[[Message], Awaitable[Letter]]


@contextlib.asynccontextmanager
async def reader(settings: Settings, main: str | None) -> AsyncIterator[Read]:
    """What reads a message; `main` is the name of the queue that they come from by default.

    A payload that cannot be had here leaves its letter sealed, which is told at the end.
    """
    async with contextlib.AsyncExitStack() as stack:
        reading = Reading(settings, SharedSession(stack), main)
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
