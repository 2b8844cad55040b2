"""Messages are dead-lettered when the queue is about to delete them, and not before."""

from __future__ import annotations

import asyncio
from contextlib import AbstractAsyncContextManager

import pytest

from relay.delivery.retention import EXPIRING_SHARE
from relay.settings import clocks
from tests.forwarding.virtual_time import run
from tests.simulation.orchestrator import REFUSED, SILENT, Outage
from tests.simulation.world import World

LIMIT = EXPIRING_SHARE * clocks.QUEUE_RETENTION
HOUR = 3_600.0
MODES = pytest.mark.parametrize("push", [False, True], ids=["pull", "push"])


def test_the_shortest_hold_still_dead_letters_before_the_queue_deletes() -> None:
    async def main() -> None:
        world = World()
        world.orchestrator.outage = SILENT
        await world.publish(5)
        await asyncio.sleep(LIMIT + HOUR)
        async with world.pushing(hold=clocks.Clocks(hold=0.0).outcome_timeout):
            await asyncio.sleep(HOUR)
        assert set(world.dead_letters) == set(world.ids)

    run(main)


def relaying(world: World, *, push: bool) -> AbstractAsyncContextManager[object]:
    return world.pushing() if push else world.pulling()


@MODES
@pytest.mark.parametrize("outage", [REFUSED, SILENT], ids=["refused", "silent"])
def test_past_nine_tenths_of_the_retention_a_message_becomes_a_dead_letter(
    outage: Outage, *, push: bool
) -> None:
    async def main() -> None:
        world = World()
        await world.publish(20)
        await asyncio.sleep(LIMIT - 4 * HOUR)
        world.orchestrator.outage = outage
        await world.publish(10)
        async with relaying(world, push=push):
            await asyncio.sleep(3.5 * HOUR)
            assert not world.dead.messages()
            await asyncio.sleep(HOUR)
            assert set(world.dead_letters) == set(world.ids[:20])
            world.orchestrator.outage = None
            await world.empty(within=clocks.VISIBILITY_TIMEOUT)
        assert {origin.code for origin in world.dead_letters.values()} == {"expiring"}
        sent = [origin.sent_at for origin in world.dead_letters.values()]
        assert all(at is not None and at < world.clock.time() - LIMIT for at in sent)
        assert set(world.orchestrator.accepted) == set(world.ids[20:])

    run(main)


@pytest.mark.parametrize("outage", [REFUSED, SILENT], ids=["refused", "silent"])
def test_pull_mode_dead_letters_messages_it_has_not_received_yet(outage: Outage) -> None:
    async def main() -> None:
        world = World()
        world.orchestrator.outage = outage
        await world.publish(1_500)
        await asyncio.sleep(LIMIT - HOUR)
        await world.publish(20)
        async with world.pulling():
            await asyncio.sleep(0.9 * HOUR)
            assert not world.dead.messages()
            await asyncio.sleep(0.5 * HOUR)
            assert set(world.dead_letters) == set(world.ids[:1_500])
            assert world.most_receives <= 1
            world.orchestrator.outage = None
            await world.empty(within=clocks.VISIBILITY_TIMEOUT)
        assert set(world.orchestrator.accepted) == set(world.ids[1_500:])

    run(main)


@MODES
def test_a_copy_says_that_it_may_have_run_if_an_attempt_had_an_unknown_end(*, push: bool) -> None:
    async def main() -> None:
        world = World()
        await world.publish(3)
        await asyncio.sleep(LIMIT - HOUR)
        world.orchestrator.outage = SILENT
        async with relaying(world, push=push):
            await asyncio.sleep(2 * HOUR)
        assert any(origin.may_have_run for origin in world.dead_letters.values())
        assert not world.left

    run(main)


@MODES
def test_old_messages_are_delivered_while_the_destination_is_available(*, push: bool) -> None:
    async def main() -> None:
        world = World()
        await world.publish(20)
        await asyncio.sleep(LIMIT + HOUR)
        async with relaying(world, push=push):
            await world.empty(within=60)
        assert set(world.orchestrator.accepted) == set(world.ids)
        assert not world.dead_letters

    run(main)
