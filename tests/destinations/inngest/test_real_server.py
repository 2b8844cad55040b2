"""Confirm mode with a real Inngest server, `dev` or `start`, and with one that is killed."""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
import uuid
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass

import pytest

from relay.destinations.inngest.confirm import ConfirmedInngest
from relay.destinations.inngest.confirmations import Confirmations
from relay.destinations.inngest.event_api import Inngest
from relay.destinations.inngest.read_back import ReadBack
from relay.forwarding import Forwarder
from relay.forwarding.circuit_breaker import Backoff, Breaker
from relay.model.destination import Limits, Unavailable
from relay.model.event import Event
from relay.model.outcome import Delivered, Outcome

KINDS = ("dev", "start")
COUNT = 2_000
RESTART = os.environ.get("INNGEST_START_RESTART", "")
"""A command that kills the server at INNGEST_START_URL with the signal that is its last argument
(TERM or KILL), starts it again with the same data, and returns when it answers."""

SOON = Backoff(0.1, 1.0)


@dataclass
class Server:
    """A real server and its keys, which a test can change."""

    kind: str
    url: str
    event_key: str
    signing_key: str | None

    async def key(self) -> str:
        return self.event_key

    async def read_key(self) -> str | None:
        return self.signing_key


class Acknowledged:
    """Counts what the server has acknowledged, before it is read back."""

    def __init__(self, inngest: Inngest, count: int) -> None:
        self._inngest = inngest
        self._left = count
        self.all = asyncio.Event()

    @property
    def limits(self) -> Limits:
        return self._inngest.limits

    async def send(self, events: Sequence[Event]) -> Sequence[Outcome]:
        outcomes = await self._inngest.send(events)
        self._left -= len(outcomes)
        if self._left <= 0:
            self.all.set()
        return outcomes


@pytest.fixture(params=KINDS)
def server(request: pytest.FixtureRequest) -> Server:
    return _server(request.param)


def _server(kind: str) -> Server:
    prefix = f"INNGEST_{kind.upper()}"
    url = os.environ.get(f"{prefix}_URL", "")
    if not url:
        pytest.skip(
            f"needs a real `inngest {kind}`: {prefix}_URL, and for `start` {prefix}_EVENT_KEY and"
            f" {prefix}_SIGNING_KEY"
        )
    event_key = os.environ.get(f"{prefix}_EVENT_KEY", "relay")
    return Server(kind, url, event_key, os.environ.get(f"{prefix}_SIGNING_KEY"))


@contextlib.asynccontextmanager
async def confirming(
    server: Server, *, seed: bool = False, path: str = "", count: int = 0
) -> AsyncIterator[tuple[ConfirmedInngest, Acknowledged, ReadBack]]:
    async with (
        Inngest(server.url + path, server.key, seed=seed) as inngest,
        ReadBack(server.url + path, server.read_key, timeout=20) as reading,
        Confirmations(reading, deadline=60) as confirmations,
    ):
        acknowledged = Acknowledged(inngest, count)
        yield ConfirmedInngest(acknowledged, confirmations, reading), acknowledged, reading


def _events(count: int) -> list[Event]:
    run = uuid.uuid4().hex
    return [Event(id=f"{run}-{n}", name=f"relay/{run}", data=b"{}") for n in range(count)]


async def _copies(reading: ReadBack, name: str) -> Counter[str]:
    """How often the server has stored each event of this name, by id."""
    found, below = Counter[str](), ""
    while page := await reading.page(time.time() - 3_600, below=below, name=name):
        found.update(one.id for one in page)
        below = page[-1].internal_id
    return found


async def _deliver(forwarder: Forwarder, event: Event) -> None:
    while not isinstance(await forwarder.submit(event), Delivered):
        pass


@pytest.mark.parametrize("count", [1, 7, 500])
async def test_events_are_confirmed(server: Server, count: int) -> None:
    events = _events(count)
    async with confirming(server) as (destination, _, reading):
        forwarder = Forwarder(destination)
        outcomes = await asyncio.gather(*map(forwarder.submit, events))
        assert all(isinstance(outcome, Delivered) for outcome in outcomes)
        assert await _copies(reading, events[0].name) == {event.id: 1 for event in events}
        assert reading.server_kind == server.kind
        await forwarder.stop(5)


@pytest.mark.parametrize("hours", [-24 * 365 * 20, 1, 24 * 365 * 20])
async def test_a_seed_with_any_time_of_the_event_is_confirmed(server: Server, hours: int) -> None:
    ts = int(time.time() + hours * 3_600) * 1_000
    events = [Event(id=one.id, name=one.name, data=b"{}", ts=ts) for one in _events(20)]
    async with confirming(server, seed=True) as (destination, _, _):
        forwarder = Forwarder(destination)
        outcomes = await asyncio.gather(*map(forwarder.submit, events))
        assert all(isinstance(outcome, Delivered) for outcome in outcomes)
        await forwarder.stop(5)


async def test_a_wrong_path_halts(server: Server) -> None:
    async with confirming(server, path="/inngest") as (destination, _, _):
        with pytest.raises(Unavailable) as caught:
            await destination.send(_events(2))
    assert caught.value.setting == "RELAY_INNGEST_URL"


@pytest.mark.parametrize(
    ("field", "setting"),
    [("event_key", "RELAY_INNGEST_EVENT_KEY"), ("signing_key", "RELAY_INNGEST_SIGNING_KEY")],
)
async def test_a_wrong_key_halts_until_it_is_corrected(field: str, setting: str) -> None:
    server, halted = _server("start"), list[str | None]()
    right = getattr(server, field)
    setattr(server, field, "0123456789abcdef")
    events = _events(20)
    async with confirming(server) as (destination, _, reading):

        async def correct() -> None:
            halted.append(forwarder.state.setting)
            setattr(server, field, right)

        forwarder = Forwarder(destination, breaker=Breaker(halt=SOON), before_probe=correct)
        outcomes = await asyncio.gather(*map(forwarder.submit, events))
        assert all(isinstance(outcome, Delivered) for outcome in outcomes)
        assert set(halted) == {setting}
        assert await _copies(reading, events[0].name) == {event.id: 1 for event in events}
        await forwarder.stop(5)


@pytest.mark.skipif(not RESTART, reason="set INNGEST_START_RESTART to a command that restarts it")
@pytest.mark.parametrize("trial", [1, 2])
@pytest.mark.parametrize("signal", ["TERM", "KILL"])
async def test_a_server_that_is_killed_with_acknowledged_events_stores_each_once(
    signal: str, trial: int
) -> None:
    del trial
    server, events = _server("start"), _events(COUNT)
    async with confirming(server, count=COUNT) as (destination, acknowledged, reading):
        forwarder = Forwarder(destination, breaker=Breaker(outage=SOON))
        tasks = [asyncio.create_task(_deliver(forwarder, event)) for event in events]
        await acknowledged.all.wait()
        restart = await asyncio.create_subprocess_shell(f"{RESTART} {signal}")
        assert await restart.wait() == 0
        await asyncio.gather(*tasks)
        assert await _copies(reading, events[0].name) == {event.id: 1 for event in events}
        await forwarder.stop(5)
