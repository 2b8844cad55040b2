"""Confirm mode with a local server, over real sockets."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator

from relay.destinations.inngest.confirm import ConfirmedInngest
from relay.destinations.inngest.confirmations import Confirmations
from relay.destinations.inngest.event_api import Inngest
from relay.destinations.inngest.read_back import ReadBack
from relay.local.inngest import InngestServer
from relay.model.event import Event

DEADLINE = 20.0


def event(name: str, *, size: int = 10) -> Event:
    return Event(id=name, name="a/b", data=b'{"text":"%s"}' % (b"x" * size))


def events(count: int, *, size: int = 10) -> list[Event]:
    return [event(f"e{i}", size=size) for i in range(count)]


class Keys:
    """Keys that a test can change."""

    def __init__(self, signing: str | None = None) -> None:
        self.signing = signing

    async def event(self) -> str:
        return "any"

    async def read(self) -> str | None:
        return self.signing


@contextlib.asynccontextmanager
async def confirmed(
    url: str, *, deadline: float = DEADLINE, keys: Keys | None = None, seed: bool = False
) -> AsyncIterator[ConfirmedInngest]:
    given = keys or Keys()
    async with (
        Inngest(url, given.event, seed=seed) as inngest,
        ReadBack(url, given.read, timeout=2) as reading,
        Confirmations(reading, deadline=deadline) as confirmations,
    ):
        yield ConfirmedInngest(inngest, confirmations, reading)


def lookups(server: InngestServer) -> list[str]:
    """The paths of the lookups that the server received."""
    return [each.path for each in server.requests if each.path.startswith("/v1/")]


def posts(server: InngestServer) -> int:
    return sum(each.path.startswith("/e/") for each in server.requests)
