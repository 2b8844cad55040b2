"""A pause of hours, and one that outlasts the retention, on virtual time: nothing is lost."""

from __future__ import annotations

import asyncio
from contextlib import AbstractAsyncContextManager
from dataclasses import replace

import pytest

from relay.delivery.retention import EXPIRING_SHARE
from relay.settings import clocks
from tests.delivery.test_paused_handler import ManualPause
from tests.forwarding.virtual_time import run
from tests.simulation.world import SHIPPED, World

HOUR = 3_600.0
LIMIT = EXPIRING_SHARE * clocks.QUEUE_RETENTION
FEW = replace(SHIPPED, http_connections=10)
MODES = pytest.mark.parametrize("push", [False, True], ids=["pull", "push"])


def relaying(world: World, *, push: bool) -> AbstractAsyncContextManager[object]:
    return world.pushing(FEW) if push else world.pulling()


@MODES
def test_a_pause_of_six_hours_dead_letters_nothing_and_costs_few_receives(*, push: bool) -> None:
    async def main() -> None:
        pause = ManualPause()
        world = World(pause=pause)
        await world.publish(20)
        async with relaying(world, push=push):
            await world.accepted(within=60.0)
            pause.begin()
            await world.publish(60)
            await asyncio.sleep(6 * HOUR)
            assert len(world.orchestrator.accepted) == 20
            # Push: one in a hold. Pull: one in an hour, to look at the age.
            assert world.most_receives <= 6 * HOUR / (clocks.HOLD if push else HOUR) + 1
            pause.end()
            await world.empty(within=clocks.VISIBILITY_TIMEOUT)
        assert set(world.orchestrator.accepted) == set(world.ids)
        assert not world.dead.messages()

    run(main)


@MODES
def test_a_forgotten_pause_dead_letters_what_sqs_would_delete_and_nothing_else(
    *, push: bool
) -> None:
    async def main() -> None:
        pause = ManualPause()
        world = World(pause=pause)
        pause.begin()
        await world.publish(20)
        await asyncio.sleep(LIMIT - 4 * HOUR)
        await world.publish(5)
        async with relaying(world, push=push):
            await asyncio.sleep(3.5 * HOUR)
            assert not world.dead.messages()
            await asyncio.sleep(3 * HOUR)
            assert set(world.dead_letters) == set(world.ids[:20])
            assert not world.orchestrator.accepted
            pause.end()
            await world.empty(within=clocks.VISIBILITY_TIMEOUT)
        assert {origin.code for origin in world.dead_letters.values()} == {"expiring"}
        assert set(world.orchestrator.accepted) == set(world.ids[20:])

    run(main)
