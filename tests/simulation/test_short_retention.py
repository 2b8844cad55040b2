"""Retentions of minutes: however long the outage, each message is delivered or dead-lettered."""

from __future__ import annotations

import asyncio

import pytest

from relay.model.outcome import Reject, Retry
from relay.sources.poller import Limits
from tests.forwarding.virtual_time import run
from tests.simulation.orchestrator import FORBIDDEN, REFUSED, SILENT, Outage
from tests.simulation.world import World

OUTAGES = pytest.mark.parametrize(
    "outage", [REFUSED, SILENT, FORBIDDEN], ids=["refused", "silent", "a revoked key"]
)
MINUTES = 300.0
"""The retention of most of these queues."""


def short(seconds: float) -> World:
    return World(retention=seconds, visibility=30)


def accounted(world: World) -> None:
    """Each message was delivered or dead-lettered, and none was deleted by SQS."""
    found = set(world.dead_letters) | set(world.orchestrator.accepted)
    lost = set(world.ids) - found
    assert not lost, f"{len(lost)} of {len(world.ids)} lost"
    assert {origin.code for origin in world.dead_letters.values()} <= {"expiring"}


@OUTAGES
@pytest.mark.parametrize("count", [21, 2_000])
@pytest.mark.parametrize("retention", [60.0, MINUTES])
def test_pull_mode_loses_nothing_in_an_outage_longer_than_the_retention(
    outage: Outage, count: int, retention: float
) -> None:
    async def main() -> None:
        world = short(retention)
        world.orchestrator.outage = outage
        async with world.pulling():
            await world.publish(1)
            await asyncio.sleep(0.1 * retention)
            await world.publish(count - 1)
            await asyncio.sleep(0.75 * retention)
            assert not world.dead.messages()
            await asyncio.sleep(retention)
        accounted(world)
        assert set(world.dead_letters) == set(world.ids)

    run(main)


@pytest.mark.parametrize("every", [5.0, 0.2], ids=["a few", "more than fit in flight"])
def test_pull_mode_keeps_up_with_producers_that_go_on_during_the_outage(every: float) -> None:
    async def main() -> None:
        world = short(MINUTES)
        world.orchestrator.outage = REFUSED
        async with world.pulling():
            for _ in range(int(3 * MINUTES / every)):
                await world.publish(1)
                await asyncio.sleep(every)
            world.orchestrator.outage = None
            await world.empty(within=MINUTES)
        accounted(world)
        assert world.orchestrator.accepted

    run(main)


def test_a_wait_that_the_destination_asks_for_ends_before_the_retention_does() -> None:
    async def main() -> None:
        world = short(120)
        world.orchestrator.answer = Retry("429", after=600)
        await world.publish(5)
        async with world.pulling():
            await asyncio.sleep(100)
            assert not world.dead.messages()
            await asyncio.sleep(100)
        accounted(world)
        assert set(world.dead_letters) == set(world.ids)

    run(main)


@pytest.mark.parametrize("groups", [3, 100])
@pytest.mark.parametrize("parked", [False, True], ids=["in order", "stopped"])
def test_groups_of_a_fifo_queue_expire_in_time_too(groups: int, *, parked: bool) -> None:
    async def main() -> None:
        world = World(retention=MINUTES, visibility=30, groups=groups)
        world.orchestrator.outage = None if parked else REFUSED
        world.orchestrator.answer = Reject("bad", "never") if parked else None
        async with world.pulling(Limits(stop_on_reject=parked)):
            await world.publish(1)
            await asyncio.sleep(5)
            await world.publish(300)
            await asyncio.sleep(1.2 * MINUTES)
        lost = set(world.ids) - set(world.dead_letters)
        assert not lost, f"{len(lost)} lost"

    run(main)


@OUTAGES
@pytest.mark.parametrize("groups", [1, 2, 6])
def test_no_group_expires_at_the_rate_of_the_probes(outage: Outage, groups: int) -> None:
    async def main() -> None:
        world = World(retention=1_900, visibility=30, groups=groups)
        world.orchestrator.outage = outage
        async with world.pulling():
            await world.publish(190)
            await asyncio.sleep(2_000)
        accounted(world)

    run(main)


@pytest.mark.parametrize("slots", [500, 10], ids=["no capacity", "no slots"])
def test_old_messages_expire_while_younger_ones_are_all_that_fits_in_flight(slots: int) -> None:
    async def main() -> None:
        world = short(MINUTES)
        await world.publish(30)
        # Another consumer has received them, and dies.
        other = world.sqs.client(world.main)
        for _ in range(3):
            await other.receive(visibility=200)
        await asyncio.sleep(150)
        world.orchestrator.outage = SILENT
        await world.publish(600 if slots == 500 else 100)
        async with world.pulling(Limits(handler_concurrency=slots)):
            await asyncio.sleep(155)
            assert set(world.dead_letters) == set(world.ids[:30])
            await asyncio.sleep(MINUTES)
        accounted(world)

    run(main)


@pytest.mark.parametrize("receives", [1, 7, 12])
def test_no_back_off_reaches_beyond_the_retention(receives: int) -> None:
    async def main() -> None:
        world = short(MINUTES)
        world.orchestrator.answer = Retry("not now")
        await world.publish(50)
        async with world.pulling():
            await asyncio.sleep(148)
            for stored in world.main.messages():
                stored.receive_count = receives
            await asyncio.sleep(MINUTES)
        accounted(world)
        assert set(world.dead_letters) == set(world.ids)

    run(main)
