"""The queue's retention may change while the relay polls; its current value counts."""

from __future__ import annotations

import asyncio

from relay.delivery.retention import REFRESH_EVERY
from tests.forwarding.virtual_time import run
from tests.simulation.orchestrator import REFUSED
from tests.simulation.world import World

HOUR = 3_600.0


async def keep_for(world: World, hours: int) -> None:
    attributes = {"MessageRetentionPeriod": str(hours * 3_600)}
    request = {"QueueUrl": world.sqs.client(world.main).url, "Attributes": attributes}
    await world.sqs.call("SetQueueAttributes", request)


def test_a_shorter_retention_is_read_in_time_to_dead_letter() -> None:
    async def main() -> None:
        world = World()
        world.orchestrator.outage = REFUSED
        await world.publish(3)
        async with world.pulling():
            await asyncio.sleep(HOUR)
            await keep_for(world, 6)
            await asyncio.sleep(4 * HOUR)
            assert not world.dead_letters
            await asyncio.sleep(HOUR)
            assert set(world.dead_letters) == set(world.ids)

    run(main)


def test_with_a_longer_retention_messages_wait_longer() -> None:
    async def main() -> None:
        world = World()
        await keep_for(world, 3)
        world.orchestrator.outage = REFUSED
        await world.publish(3)
        async with world.pulling():
            await asyncio.sleep(HOUR)
            await keep_for(world, 6)
            await asyncio.sleep(3 * HOUR)
            assert not world.dead_letters
            world.orchestrator.outage = None
            await world.empty(within=HOUR)
        assert set(world.orchestrator.accepted) == set(world.ids)

    run(main)


def test_the_retention_is_read_once_an_hour() -> None:
    async def main() -> None:
        world = World()
        async with world.pulling():
            await asyncio.sleep(10.5 * REFRESH_EVERY)
        assert world.sqs.requests["GetQueueAttributes"] == 1 + 10

    run(main)
