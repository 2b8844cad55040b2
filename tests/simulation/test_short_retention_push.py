"""Push mode with retentions of minutes or hours: what sqsd hides is dead-lettered before."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from relay.local.sqsd import SqsdOptions
from relay.model.outcome import Retry
from relay.settings.clocks import Clocks
from tests.forwarding.virtual_time import run
from tests.simulation.orchestrator import REFUSED, Outage
from tests.simulation.test_short_retention import OUTAGES, accounted
from tests.simulation.world import SHIPPED, World

FIVE_MINUTES = Clocks(
    hold=0,
    request_timeout=10,
    confirm_deadline=10,
    sqsd_inactivity_timeout=60,
    sqsd_visibility_timeout=180,
    sqsd_error_visibility_timeout=5,
    queue_retention=300,
)
"""Clocks that fit a retention of five minutes."""


def options(clocks: Clocks) -> SqsdOptions:
    return replace(
        SHIPPED,
        inactivity_timeout=int(clocks.sqsd_inactivity_timeout),
        visibility_timeout=int(clocks.sqsd_visibility_timeout),
        error_visibility_timeout=int(clocks.sqsd_error_visibility_timeout),
    )


@OUTAGES
@pytest.mark.parametrize("count", [21, 2_000])
def test_push_mode_loses_nothing_in_an_outage_longer_than_the_retention(
    outage: Outage, count: int
) -> None:
    async def main() -> None:
        world = World(retention=300, visibility=180)
        world.orchestrator.outage = outage
        async with world.pushing(options(FIVE_MINUTES), hold=FIVE_MINUTES.outcome_timeout):
            await world.publish(1)
            await asyncio.sleep(30)
            await world.publish(count - 1)
            await asyncio.sleep(230)
            assert not world.dead.messages()
            await asyncio.sleep(100)
        accounted(world)
        assert set(world.dead_letters) == set(world.ids)

    run(main)


@pytest.mark.parametrize("retention", [2_080.0, 2_100.0, 3_600.0])
@pytest.mark.parametrize("held", [False, True], ids=["refused for now", "held"])
def test_a_message_that_sqsd_would_hide_past_its_retention_is_not_given_back(
    retention: float, *, held: bool
) -> None:
    async def main() -> None:
        world = World(retention=retention)
        world.orchestrator.outage = REFUSED if held else None
        world.orchestrator.answer = Retry("not now")
        async with world.pushing():
            for _ in range(40):
                await world.publish(1)
                await asyncio.sleep(retention / 20)
            await asyncio.sleep(retention)
        accounted(world)

    run(main)


def test_pull_mode_still_has_what_sqs_deleted_while_no_dead_letter_could_be_stored() -> None:
    async def main() -> None:
        world = World(retention=300, visibility=30)
        world.orchestrator.outage = REFUSED
        world.dead_letters_throttled_until = 400
        async with world.pulling():
            await world.publish(20)
            await asyncio.sleep(405)
        accounted(world)
        assert set(world.dead_letters) == set(world.ids)

    run(main)


@pytest.mark.parametrize("pushed", [False, True], ids=["pull", "push"])
def test_a_dead_letter_that_cannot_be_stored_at_once_is_tried_until_it_can(*, pushed: bool) -> None:
    async def main() -> None:
        world = World(retention=300, visibility=180)
        world.orchestrator.answer = Retry("not now")
        world.dead_letters_throttled_until = 297
        relaying = world.pushing(options(FIVE_MINUTES), hold=30) if pushed else world.pulling()
        async with relaying:
            await world.publish(20)
            await asyncio.sleep(400)
        accounted(world)
        assert set(world.dead_letters) == set(world.ids)

    run(main)
