"""The Inngest destination with a scripted server on a socket."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from relay.destinations.inngest.event_api import Inngest
from relay.model.destination import Unavailable
from relay.model.event import Event
from tests.destinations.wire import Answering, Wire, listening

KEY = "evt-secret-4711"
NOW = 1_800_000_000.0
URL = "RELAY_INNGEST_URL"
EVENT_KEY = "RELAY_INNGEST_EVENT_KEY"
ULIDS = ["01J0000000000000000000000A", "01J0000000000000000000000B", "01J0000000000000000000000C"]


def events(count: int) -> list[Event]:
    return [Event(id=f"e-{i}", name="app/happened", data=b'{"n": 1.10}') for i in range(count)]


async def key() -> str:
    return KEY


def destination(
    wire: Wire, timeout: float = 10.0, key: Callable[[], Awaitable[str]] = key, path: str = ""
) -> Inngest:
    return Inngest(wire.url + path, key, env="branch", timeout=timeout, clock=lambda: NOW)


async def fails(
    answer: bytes = b"", count: int = 2, behave: Answering | None = None, timeout: float = 10.0
) -> Unavailable:
    async with listening(answer, behave) as wire, destination(wire, timeout) as inngest:
        with pytest.raises(Unavailable) as caught:
            await inngest.send(events(count))
    assert KEY not in repr(caught.value)
    assert caught.value.__cause__ is None
    return caught.value


async def is_silent(wire: Wire, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await wire.read(reader)
    await reader.read()
