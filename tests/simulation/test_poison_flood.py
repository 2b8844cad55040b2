"""Floods of messages that the relay rejects: good ones pass, and the flood costs few receives."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import pytest

from relay.delivery.held_rejects import LONGEST_HIDE, PROBE_EVERY
from relay.delivery.reject_guard import MIN_REJECTS, WINDOW
from relay.model.facts import RejectGuardChanged
from relay.model.outcome import Reject
from relay.settings import clocks
from tests.forwarding.virtual_time import run
from tests.simulation.world import World

HOUR = 3_600.0
MINUTE = 60.0

MODES = pytest.mark.parametrize("push", [False, True], ids=["pull", "push"])


@asynccontextmanager
async def _pushing(world: World) -> AsyncIterator[None]:
    async with world.pushing():
        yield


def relaying(world: World, *, push: bool) -> AbstractAsyncContextManager[None]:
    return _pushing(world) if push else world.pulling()


def guard_changes(world: World) -> list[bool]:
    return [fact.halted for fact in world.facts if isinstance(fact, RejectGuardChanged)]


def longest_hide(*, push: bool) -> float:
    """Seconds after which every held message has been received again."""
    return MINUTE + (clocks.ERROR_VISIBILITY_TIMEOUT if push else LONGEST_HIDE)


@MODES
def test_good_messages_behind_a_flood_are_delivered_and_let_it_be_dead_lettered(
    *, push: bool
) -> None:
    async def main() -> None:
        world = World()
        await world.publish_poison(600)
        await world.publish(400)
        async with relaying(world, push=push):
            await world.accepted(within=MINUTE)
            assert guard_changes(world) == [True, False]
            await world.empty(within=longest_hide(push=push))
        assert set(world.dead_letters) == set(world.poison)
        assert {origin.code for origin in world.dead_letters.values()} == {"missing_name"}
        assert set(world.orchestrator.accepted.values()) == {1}

    run(main)


def test_a_flood_leaves_the_connections_of_sqsd_free() -> None:
    async def main() -> None:
        world = World()
        await world.publish_poison(150)
        async with world.pushing() as sqsd:
            await asyncio.sleep(10.0)
            assert len(sqsd.posts) == 150
            await world.publish(20)
            await world.accepted(within=MINUTE)
            assert world.status.problem is not None

    run(main)


@MODES
def test_good_messages_pass_a_flood_that_follows_a_good_time(*, push: bool) -> None:
    async def main() -> None:
        world = World()
        async with relaying(world, push=push):
            await world.publish(1_000)
            await world.accepted(within=MINUTE)
            await world.publish_poison(800)
            await asyncio.sleep(MINUTE)
            assert world.status.setting == "RELAY_ENVELOPE"
            assert "missing_name" in (world.status.problem or "")
            assert len(world.dead_letters) <= WINDOW / 2 + 1
            await world.publish(250)
            await world.accepted(within=MINUTE)
            assert world.status.problem is None

    run(main)


@MODES
def test_with_only_rejects_almost_nothing_is_moved_and_receives_are_bounded(*, push: bool) -> None:
    async def main() -> None:
        world = World()
        await world.publish_poison(60)
        async with relaying(world, push=push):
            await asyncio.sleep(12 * HOUR)
            assert world.status.problem is not None
            assert len(world.dead_letters) < MIN_REJECTS
            most = 12 * HOUR / clocks.ERROR_VISIBILITY_TIMEOUT if push else 25
            assert world.most_receives <= most
            assert guard_changes(world) == [True]

    run(main)


@MODES
def test_a_destination_that_refuses_everything_gets_few_requests_and_may_recover(
    *, push: bool
) -> None:
    async def main() -> None:
        world = World()
        world.orchestrator.answer = Reject("refused_by_destination", "not today")
        await world.publish(100)
        async with relaying(world, push=push):
            await asyncio.sleep(6 * HOUR)
            refused = world.dead_letters
            assert len(refused) < MIN_REJECTS
            sent = sum(events for _, events in world.orchestrator.requests)
            assert sent <= 100 + 6 * HOUR / PROBE_EVERY
            world.orchestrator.answer = None
            await world.empty(within=longest_hide(push=push) + 5 * MINUTE)
        assert world.dead_letters == refused
        assert set(world.orchestrator.accepted) == set(world.ids) - set(refused)
        assert guard_changes(world) == [True, False]

    run(main)


@MODES
def test_a_restart_without_the_guard_dead_letters_what_it_held(*, push: bool) -> None:
    async def main() -> None:
        world = World()
        await world.publish_poison(100)
        async with relaying(world, push=push):
            await asyncio.sleep(HOUR)
            assert len(world.dead_letters) < MIN_REJECTS
        world.guarded = False
        async with relaying(world, push=push):
            await world.empty(within=longest_hide(push=push))
        assert set(world.dead_letters) == set(world.poison)

    run(main)


def test_what_the_guard_holds_is_dead_lettered_before_the_queue_deletes_it() -> None:
    async def main() -> None:
        world = World()
        await world.publish_poison(22)
        async with world.pulling():
            await asyncio.sleep(0.9 * clocks.QUEUE_RETENTION - HOUR)
            assert len(world.dead_letters) < MIN_REJECTS
            assert world.most_receives < clocks.MAX_RECEIVE_COUNT / 2
            await asyncio.sleep(HOUR + longest_hide(push=False))
            assert set(world.dead_letters) == set(world.poison)

    run(main)


def test_in_push_mode_it_is_dead_lettered_before_its_receives_are_used_up() -> None:
    async def main() -> None:
        world = World()
        await world.publish_poison(22)
        async with world.pushing():
            survived = clocks.ERROR_VISIBILITY_TIMEOUT * clocks.MAX_RECEIVE_COUNT
            await asyncio.sleep(survived - HOUR)
            assert len(world.dead_letters) < MIN_REJECTS
            await asyncio.sleep(2 * HOUR)
            assert set(world.dead_letters) == set(world.poison)
            assert {one.code for one in world.dead_letters.values()} == {"missing_name"}

    run(main)


def test_with_few_receives_allowed_held_messages_are_hidden_for_long() -> None:
    async def main() -> None:
        world = World(max_receive_count=5)
        await world.publish_poison(22)
        async with world.pulling():
            await asyncio.sleep(24 * HOUR)
            assert len(world.dead_letters) < MIN_REJECTS
            await asyncio.sleep(24 * HOUR)
            assert set(world.dead_letters) == set(world.poison)

    run(main)
