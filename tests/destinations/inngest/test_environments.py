"""An environment that Inngest refuses, over real sockets: events of the others are delivered."""

from __future__ import annotations

import asyncio

import pytest

from relay.destinations.inngest.event_api import Inngest
from relay.forwarding import Forwarder
from relay.local.inngest import Fault, InngestServer, Rule
from relay.model.destination import Unavailable
from relay.model.event import Event
from relay.model.facts import CircuitChanged, Fact
from relay.model.outcome import Delivered
from tests.destinations.inngest.rig import Keys


def event(name: str, env: str | None = None) -> Event:
    return Event(id=name, name="a/b", data=b"{}", env=env)


def refusing(status: int, env: str | None = "gone") -> Rule:
    body = f'{{"error": "no such environment", "status": {status}}}'
    return Rule(fault=Fault(accept=0, status=status, body=body), env=env, times=None)


def refused(server: InngestServer) -> int:
    return sum(request.headers.get("x-inngest-env") == "gone" for request in server.requests)


@pytest.mark.parametrize("status", [400, 401, 403, 404, 410, 422])
async def test_a_refused_environment_neither_halts_nor_opens_the_circuit(status: int) -> None:
    facts: list[Fact] = []
    async with InngestServer() as server, Inngest(server.url, Keys().event, env="own") as inngest:
        server.script.add(refusing(status))
        forwarder = Forwarder(inngest, observe=facts.append)
        bad = [asyncio.create_task(forwarder.submit(event(f"bad-{n}", "gone"))) for n in range(9)]
        async with asyncio.timeout(20):
            while refused(server) < len(bad) + 1:  # noqa: ASYNC110 - the server has no such event
                await asyncio.sleep(0.01)
        good = [event("a"), event("b", "branch"), event("c", "own")]
        outcomes = await asyncio.gather(*map(forwarder.submit, good))
        assert all(isinstance(outcome, Delivered) for outcome in outcomes)
        assert not any(isinstance(fact, CircuitChanged) for fact in facts)
        assert forwarder.accepting
        await forwarder.stop(1.0)
        await asyncio.gather(*bad)


@pytest.mark.parametrize(
    ("status", "env", "blamed"),
    [
        (401, "gone", "gone"),
        (404, "gone", "gone"),
        (401, "own", None),
        (401, None, None),
        (429, "gone", None),
        (500, "gone", None),
    ],
)
async def test_only_a_refusal_of_another_environment_may_be_about_it(
    status: int, env: str | None, blamed: str | None
) -> None:
    async with InngestServer() as server, Inngest(server.url, Keys().event, env="own") as inngest:
        server.script.add(refusing(status, None))
        with pytest.raises(Unavailable) as caught:
            await inngest.send([event("a", env)])
    assert caught.value.environment == blamed
    assert caught.value.proven == (blamed is None and status in (401, 429))
