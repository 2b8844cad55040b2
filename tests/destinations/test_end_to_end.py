"""Forwarder and Inngest destination against the local event API, over real HTTP."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from relay.destinations.inngest.event_api import Inngest
from relay.forwarding import Forwarder
from relay.forwarding.circuit_breaker import Backoff, Breaker
from relay.local.inngest import InngestServer, Request
from relay.local.inngest.faults import Fault, Rule
from relay.model.event import Event
from relay.model.facts import CircuitChanged, Fact
from relay.model.outcome import Delivered, Outcome, Reject, Retry

QUICK = Backoff(0.02, 0.1)
NAMES = [f"e-{i}" for i in range(30)]


async def any_key() -> str:
    return "some-event-key"


def event(name: str, data: bytes = b"{}") -> Event:
    return Event(id=name, name="app/happened", data=data)


@contextlib.asynccontextmanager
async def relaying(
    server: InngestServer, key: Callable[[], Awaitable[str]] = any_key, timeout: float = 5.0
) -> AsyncIterator[tuple[Forwarder, list[Fact]]]:
    facts: list[Fact] = []
    async with Inngest(server.url, key, timeout=timeout) as inngest:
        breaker = Breaker(outage=QUICK, halt=QUICK)
        forwarder = Forwarder(inngest, breaker=breaker, observe=facts.append)
        yield forwarder, facts
        await forwarder.stop(5)


def submit(forwarder: Forwarder, *events: Event) -> list[asyncio.Task[Outcome]]:
    return [asyncio.create_task(forwarder.submit(one)) for one in events]


def circuits(facts: list[Fact]) -> list[str]:
    return [fact.state for fact in facts if isinstance(fact, CircuitChanged)]


async def test_delivered_events_are_stored_and_have_the_servers_ids() -> None:
    async with InngestServer() as server, relaying(server) as (forwarder, facts):
        outcomes = await asyncio.gather(*submit(forwarder, *(event(name) for name in NAMES)))
        references = [o.reference for o in outcomes if isinstance(o, Delivered)]
        assert len(set(references)) == len(NAMES)
        assert set(server.acknowledged) == set(NAMES)
        assert circuits(facts) == []


async def test_a_server_that_recovers_gets_all_held_events() -> None:
    async with InngestServer() as server, relaying(server) as (forwarder, facts):
        await server.down()
        tasks = submit(forwarder, *(event(name) for name in NAMES))
        await asyncio.wait(tasks, timeout=0.3)
        assert not any(task.done() for task in tasks)
        assert forwarder.state.circuit in ("open", "half-open")
        assert "refuses connections" in forwarder.state.reason
        await server.up()
        assert all(isinstance(o, Delivered) for o in await asyncio.gather(*tasks))
        assert circuits(facts) == ["open", "closed"]


async def test_a_wrong_key_halts_and_a_corrected_one_recovers() -> None:
    keys = ["wrong-event-key"]

    async def key() -> str:
        return keys[-1]

    async with (
        InngestServer(mode="start", event_keys=["the-right-key"]) as server,
        relaying(server, key) as (forwarder, facts),
    ):
        task = submit(forwarder, event("held"))[0]
        await asyncio.wait([task], timeout=0.2)
        assert forwarder.state.circuit == "halted"
        assert forwarder.state.setting == "RELAY_INNGEST_EVENT_KEY"
        keys.append("the-right-key")
        assert isinstance(await task, Delivered)
        assert circuits(facts) == ["halted", "closed"]


async def test_events_that_only_the_server_finds_invalid_are_rejected_and_the_rest_stored() -> None:
    async with InngestServer() as server, relaying(server) as (forwarder, facts):
        bad = [event("bad-1", b'"text"'), event("bad-2", b"[1]")]
        events = [*(event(name) for name in NAMES[:15]), *bad, *map(event, NAMES[15:])]
        outcomes = await asyncio.gather(*submit(forwarder, *events))
        rejected = [o for o in outcomes if isinstance(o, Reject)]
        assert [o.code for o in rejected] == ["refused_by_destination"] * 2
        assert sum(isinstance(o, Delivered) for o in outcomes) == len(NAMES)
        assert circuits(facts) == []


@pytest.mark.parametrize(
    "fault",
    [
        Fault(accept=0, status=403, body="forbidden"),
        Fault(accept=0, status=502, body="<html>"),
        Fault(accept=0, status=200, body="<html>"),
        Fault(accept=0, end="reset"),
        Fault(end="close"),
    ],
)
async def test_a_poison_event_does_not_affect_good_ones(fault: Fault) -> None:
    async with InngestServer() as server, relaying(server) as (forwarder, facts):
        server.script.add(Rule(fault=fault, times=None, ids=frozenset({"bad"})))
        tasks = submit(forwarder, event("bad"), *(event(name) for name in NAMES))
        outcomes = await asyncio.gather(*tasks[1:])
        assert all(isinstance(o, Delivered) for o in outcomes)
        # Another accepted event after it failed alone shows whose fault it is.
        while not tasks[0].done():
            await asyncio.gather(*submit(forwarder, event("witness")))
        verdict = await tasks[0]
        assert isinstance(verdict, Retry)
        assert verdict.reason.startswith("fails_alone")
        assert circuits(facts) == []


async def test_a_wrong_prefix_of_stored_ids_loses_nothing() -> None:
    lies = [Fault(accept=3, claim=20, status=400, error="internal error")] * 3

    def lying(request: Request) -> Fault | None:
        return lies.pop() if lies and len(request.ids) > 1 else None

    async with InngestServer(faults=lying) as server, relaying(server) as (forwarder, facts):
        outcomes = await asyncio.gather(*submit(forwarder, *(event(name) for name in NAMES)))
        assert all(isinstance(o, Delivered) for o in outcomes)
        assert set(server.acknowledged) == set(NAMES)
        assert circuits(facts) == []


async def test_a_rate_limit_of_the_server_is_respected() -> None:
    async with InngestServer() as server, relaying(server) as (forwarder, facts):
        server.script.add(Rule(fault=Fault(accept=0, status=429, headers={"Retry-After": "1"})))
        start = asyncio.get_running_loop().time()
        assert isinstance(await forwarder.submit(event("polite")), Delivered)
        assert asyncio.get_running_loop().time() - start >= 0.9
        assert circuits(facts) == ["open", "closed"]
