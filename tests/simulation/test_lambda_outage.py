"""AWS Lambda cannot hold a message; an outage of six hours dead-letters none all the same."""

from __future__ import annotations

import asyncio

import pytest

from relay.delivery.retention import EXPIRING_SHARE
from relay.local.lambda_events import EventSourceOptions, Fault, FaultScript
from relay.settings import clocks
from relay.settings.clocks import LambdaClocks
from tests.forwarding.virtual_time import run
from tests.simulation.orchestrator import BAD_GATEWAY, FORBIDDEN, REFUSED, SILENT, Outage
from tests.simulation.world import World

HOUR = 3_600.0
VISIBILITY = clocks.LAMBDA_VISIBILITY * clocks.LAMBDA_TIMEOUT
OUTAGES = pytest.mark.parametrize(
    "outage",
    [
        pytest.param(REFUSED, id="refused connections"),
        pytest.param(SILENT, id="no answers"),
        pytest.param(BAD_GATEWAY, id="502 from a proxy"),
        pytest.param(FORBIDDEN, id="a revoked key"),
    ],
)


def delivered_once(world: World) -> None:
    assert set(world.orchestrator.accepted) == set(world.ids)
    assert not world.dead.messages()
    assert not world.left


@OUTAGES
@pytest.mark.parametrize("groups", [0, 7], ids=["standard", "FIFO"])
def test_six_hours_without_the_orchestrator_dead_letter_nothing(
    outage: Outage, groups: int
) -> None:
    async def main() -> None:
        world = World(groups=groups)
        await world.publish(60)
        async with world.invoking(EventSourceOptions(maximum_concurrency=10)):
            await asyncio.sleep(0.2)
            world.orchestrator.outage = outage
            await world.publish(60)
            await asyncio.sleep(6 * HOUR)
            assert world.left >= 60
            # 29 with the shipped clocks; see `relay.settings.clocks`.
            assert 15 <= world.most_receives <= LambdaClocks().receives(6 * HOUR) == 29
            world.orchestrator.outage = None
            await world.empty(within=2 * VISIBILITY)
        delivered_once(world)

    run(main)


def test_a_short_outage_delays_messages_by_seconds() -> None:
    async def main() -> None:
        world = World()
        world.orchestrator.outage = REFUSED
        await world.publish(20)
        async with world.invoking():
            await asyncio.sleep(20)
            world.orchestrator.outage = None
            await world.accepted(within=60)
            await world.empty(within=10)
        delivered_once(world)

    run(main)


def test_an_outage_that_outlasts_the_retention_ends_as_expiring_with_receives_to_spare() -> None:
    async def main() -> None:
        # Of half a day; 13 days of polls would take minutes.
        world = World(retention=12 * HOUR)
        world.orchestrator.outage = REFUSED
        await world.publish(2)
        limit = EXPIRING_SHARE * world.retention
        async with world.invoking(EventSourceOptions(maximum_concurrency=2)):
            await asyncio.sleep(limit - HOUR)
            assert not world.dead.messages()
            assert world.most_receives <= LambdaClocks().receives(limit)
            await asyncio.sleep(HOUR)
            assert set(world.dead_letters) == set(world.ids)
            assert {origin.code for origin in world.dead_letters.values()} == {"expiring"}

    run(main)


@pytest.mark.parametrize("kind", ["kill", "time-out", "lose-answer", "throttle"])
@pytest.mark.parametrize("groups", [0, 5], ids=["standard", "FIFO"])
def test_a_function_that_dies_again_and_again_loses_nothing(kind: str, groups: int) -> None:
    async def main() -> None:
        world = World(groups=groups)
        fault = Fault(kind=kind, times=40, after=0.015)  # type: ignore[arg-type] # one of the four
        await world.publish(50)
        async with world.invoking(
            EventSourceOptions(maximum_concurrency=5), faults=FaultScript([fault])
        ) as source:
            await world.empty(within=40 * VISIBILITY)
        assert source.counters.errors + source.counters.throttled >= 40
        assert set(world.orchestrator.accepted) == set(world.ids)
        assert not world.dead.messages()

    run(main)


def test_the_relay_itself_may_fail_for_six_hours() -> None:
    async def main() -> None:
        world = World()
        fault = Fault(kind="kill", times=None)
        await world.publish(20)
        script = FaultScript([fault])
        async with world.invoking(EventSourceOptions(maximum_concurrency=2), faults=script):
            await asyncio.sleep(6 * HOUR)
            assert world.most_receives <= 6 * HOUR / VISIBILITY + 1
            script.clear()
            await world.empty(within=2 * VISIBILITY)
        delivered_once(world)

    run(main)


def test_the_order_of_each_group_survives_an_outage_and_kills() -> None:
    async def main() -> None:
        world = World(groups=4)
        await world.publish(80)
        faults = FaultScript([Fault(kind="kill", skip=2, times=3, after=0.03)])
        async with world.invoking(EventSourceOptions(maximum_concurrency=4), faults=faults):
            await asyncio.sleep(1.0)
            world.orchestrator.outage = REFUSED
            await asyncio.sleep(60)
            world.orchestrator.outage = None
            await world.empty(within=10 * VISIBILITY)
        first: dict[str, int] = {}
        for position, name in enumerate(world.orchestrator.accepted):
            first.setdefault(name, position)
        for group in range(4):
            members = [name for n, name in enumerate(world.ids) if n % 4 == group]
            assert members == sorted(members, key=first.__getitem__)

    run(main)
