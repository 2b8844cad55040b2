"""The seed gives an event the same internal id at each delivery, one event a request."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from msgspec.structs import replace

from relay.destinations.inngest.event_api import SEED_HEADER, Inngest, event_id_seed
from relay.forwarding import Forwarder
from relay.local.inngest import Function, InngestServer
from relay.local.inngest.records import read_seed
from relay.model.event import Event
from relay.model.outcome import Delivered
from tests.destinations.inngest.rig import Keys, confirmed, posts

EVENT = Event(id="e", name="a/b", data=b"{}", ts=1_790_000_000_000)


@pytest.fixture
async def server() -> AsyncIterator[InngestServer]:
    functions = [Function(name="batching", on="a/b", batched=True)]
    async with InngestServer(functions=functions) as server:
        yield server


def test_the_seed_depends_only_on_time_name_and_id() -> None:
    assert event_id_seed(EVENT) == event_id_seed(
        replace(EVENT, data=b'{"other":1}', message_id="another")
    )
    others = (replace(EVENT, id="f"), replace(EVENT, name="a/c"), replace(EVENT, ts=1))
    assert len({event_id_seed(EVENT), *map(event_id_seed, others)}) == 4


@pytest.mark.parametrize("ts", [1_790_000_000_000, None])
def test_the_seed_is_valid_for_the_server(ts: int | None) -> None:
    assert read_seed(event_id_seed(replace(EVENT, ts=ts))) is not None


async def test_a_batching_function_runs_once_for_two_deliveries(
    server: InngestServer,
) -> None:
    async with Inngest(server.url, Keys().event, seed=True) as destination:
        first = await destination.send([EVENT])
        assert await destination.send([EVENT]) == first
        await server.settled()
        assert len(server.runs) == 1


async def test_without_a_seed_it_runs_twice_and_no_header_is_sent(server: InngestServer) -> None:
    async with Inngest(server.url, Keys().event) as destination:
        await destination.send([EVENT])
        await destination.send([EVENT])
        await server.settled()
        assert len(server.runs) == 2
        assert all(SEED_HEADER not in request.headers for request in server.requests)


async def test_each_seeded_event_is_sent_alone(server: InngestServer) -> None:
    async with Inngest(server.url, Keys().event, seed=True) as destination:
        forwarder = Forwarder(destination)
        tasks = [forwarder.submit(replace(EVENT, id=str(n))) for n in range(20)]
        assert all(isinstance(outcome, Delivered) for outcome in await asyncio.gather(*tasks))
        assert posts(server) == 20
        await forwarder.stop(1)


async def test_a_seeded_event_is_read_back_like_any_other(server: InngestServer) -> None:
    async with confirmed(server.url, seed=True) as destination:
        first = await destination.send([EVENT])
        assert await destination.send([EVENT]) == first
        assert destination.limits.max_events == 1
