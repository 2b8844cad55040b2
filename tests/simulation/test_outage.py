"""Six hours without the orchestrator, and without the relay, on virtual time: nothing is lost."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from relay.local.sqsd import SqsdOptions
from relay.settings import clocks
from tests.forwarding.virtual_time import run
from tests.simulation.orchestrator import BAD_GATEWAY, FORBIDDEN, REFUSED, SILENT, Outage
from tests.simulation.world import SHIPPED, World

HOUR = 3_600.0
FEW = replace(SHIPPED, http_connections=10)
"""The shipped clocks with fewer connections than messages."""

OUTAGES = [
    pytest.param(REFUSED, id="refused connections"),
    pytest.param(SILENT, id="no answers"),
    pytest.param(BAD_GATEWAY, id="502 from a proxy"),
    pytest.param(FORBIDDEN, id="a revoked key"),
]


def delivered_once(world: World) -> None:
    assert set(world.orchestrator.accepted) == set(world.ids)
    assert not world.dead.messages()
    assert not world.left


@pytest.mark.parametrize("outage", OUTAGES)
def test_pull_mode_survives_six_hours_with_at_most_one_extra_receive(outage: Outage) -> None:
    async def main() -> None:
        world = World()
        await world.publish(150)
        async with world.pulling():
            await asyncio.sleep(0.1)
            world.orchestrator.outage = outage
            await world.publish(100)
            await asyncio.sleep(6 * HOUR)
            assert world.left >= 100
            assert 1 <= world.most_receives <= 2
            world.orchestrator.outage = None
            await world.empty(within=600)
        delivered_once(world)
        start, end = world.circuit
        assert start.state == ("halted" if outage is FORBIDDEN else "open")
        assert end.state == "closed"
        assert 6 * HOUR - 60 < end.seconds < 6 * HOUR + 60

    run(main)


@pytest.mark.parametrize("outage", OUTAGES)
@pytest.mark.parametrize("prefetched", [pytest.param(0, id="no prefetch"), None])
def test_push_mode_survives_six_hours_and_counts_one_receive_a_hold(
    outage: Outage, prefetched: int | None
) -> None:
    async def main() -> None:
        world = World()
        await world.publish(20)
        async with world.pushing(replace(FEW, backlog=prefetched)) as sqsd:
            await asyncio.sleep(0.2)
            world.orchestrator.outage = outage
            await world.publish(60)
            await asyncio.sleep(6 * HOUR)
            assert world.most_receives <= 6 * HOUR / clocks.HOLD + 1
            world.orchestrator.outage = None
            await world.empty(within=clocks.VISIBILITY_TIMEOUT)
            assert len(sqsd.posts) <= (6 * HOUR / clocks.HOLD + 3) * FEW.http_connections + 80
        delivered_once(world)
        start, end = world.circuit
        assert (start.state, end.state) == ("halted" if outage is FORBIDDEN else "open", "closed")

    run(main)


def test_push_mode_receives_only_held_messages_again() -> None:
    async def main() -> None:
        world = World()
        world.orchestrator.outage = REFUSED
        await world.publish(8)
        async with world.pushing(replace(FEW, backlog=0)):
            await asyncio.sleep(6 * HOUR)
            cycle = clocks.HOLD + clocks.ERROR_VISIBILITY_TIMEOUT
            receives = [stored.receive_count for stored in world.main.messages()]
            assert set(receives) <= {int(6 * HOUR / cycle), int(6 * HOUR / cycle) + 1}
            world.orchestrator.outage = None
            await world.empty(within=clocks.VISIBILITY_TIMEOUT)
        delivered_once(world)

    run(main)


@pytest.mark.parametrize("crashing", [False, True], ids=["refusing connections", "crash-looping"])
def test_the_relay_itself_may_be_down_for_six_hours(*, crashing: bool) -> None:
    async def main() -> None:
        world = World()
        await world.publish(40)
        async with world.pushing() as sqsd:
            application = sqsd.application
            sqsd.application = _bad_gateway if crashing else None
            await asyncio.sleep(6 * HOUR)
            tries = 6 * HOUR / clocks.ERROR_VISIBILITY_TIMEOUT
            assert tries - 2 <= world.most_receives <= tries + 1
            assert world.most_receives < clocks.MAX_RECEIVE_COUNT / 10
            sqsd.application = application
            await world.empty(within=clocks.VISIBILITY_TIMEOUT)
        delivered_once(world)

    run(main)


@pytest.mark.parametrize("push", [False, True], ids=["pull", "push"])
def test_a_relay_that_dies_again_and_again_in_an_outage_loses_nothing(*, push: bool) -> None:
    async def main() -> None:
        world = World()
        await world.publish(20)
        world.orchestrator.outage = SILENT
        for _ in range(6):
            async with world.pushing() if push else world.pulling():
                await asyncio.sleep(HOUR)
        assert world.most_receives < clocks.MAX_RECEIVE_COUNT / 10
        world.orchestrator.outage = None
        async with world.pushing() if push else world.pulling():
            await world.empty(within=2 * clocks.VISIBILITY_TIMEOUT)
        delivered_once(world)

    run(main)


def test_the_same_outage_empties_the_queue_with_the_defaults_of_sqsd() -> None:
    async def main() -> None:
        world = World(max_receive_count=10)
        world.orchestrator.outage = REFUSED
        await world.publish(50)
        async with world.pushing(SqsdOptions(), hold=0.0):
            await asyncio.sleep(60)
        # The counter-example: a short ErrorVisibilityTimeout and an instant 503.
        assert len(world.dead.messages()) == 50

    run(main)


async def _bad_gateway(_scope: object, _receive: object, send: Callable[..., Any]) -> None:
    await send({"type": "http.response.start", "status": 502, "headers": []})
    await send({"type": "http.response.body", "body": b""})
