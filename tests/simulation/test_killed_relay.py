"""A relay that is killed leaves messages hidden: not for so long that SQS deletes them."""

from __future__ import annotations

import asyncio
import math
from pathlib import Path

import pytest

from relay.delivery.retention import EXPIRING_SHARE
from relay.dlq.leases import fitting_lease
from relay.dlq.pull import pull
from relay.dlq.snapshot import Head
from relay.model.outcome import Retry
from tests.forwarding.virtual_time import run
from tests.simulation.orchestrator import REFUSED
from tests.simulation.world import World


@pytest.mark.parametrize("retention", [60.0, 300.0, 3_600.0, 14_400.0])
def test_no_lease_reaches_into_the_end_of_the_retention(retention: float) -> None:
    async def main() -> None:
        world = World(retention=retention, visibility=1_800)
        world.orchestrator.outage = REFUSED
        await world.publish(50)
        async with world.pulling():
            for _ in range(40):
                await asyncio.sleep(EXPIRING_SHARE * retention / 41)
                for stored in world.main.messages():
                    assert stored.visible_at <= stored.sent_at + 0.96 * retention

    run(main)


@pytest.mark.parametrize("after", [None, 600.0, math.nextafter(43_200.0, 0)])
def test_no_retry_hides_a_message_into_the_last_tenth(after: float | None) -> None:
    async def main() -> None:
        world = World(retention=300, visibility=30)
        world.orchestrator.answer = Retry("not now", after)
        async with world.pulling():
            for _ in range(60):
                await world.publish(1)
                await asyncio.sleep(4)
                for stored in world.main.messages():
                    stored.receive_count += 3
                    hidden = stored.visible_at if stored.state == "in_flight" else 0.0
                    assert hidden <= max(stored.sent_at + 270, world.clock.time() + 16)

    run(main)


def test_a_snapshot_hides_dead_letters_no_longer_than_a_twentieth_of_their_retention(
    tmp_path: Path,
) -> None:
    async def main() -> None:
        world = World()
        dead = world.sqs.queue("short-dlq", MessageRetentionPeriod=600)
        queue = world.sqs.client(dead)
        world.main = dead
        await world.publish(20)
        head = Head(queue="short-dlq", arn=dead.arn, taken_at=0.0, retention=600.0, fifo=False)
        hidden: list[float] = []

        def progress(_count: int) -> None:
            hidden.extend(one.visible_at - world.clock.time() for one in dead.messages())

        await pull(
            queue,
            tmp_path / "snapshot.jsonl",
            head,
            waiting=1_000_000,
            wait=1.0,
            stop=asyncio.Event(),
            progress=progress,
        )
        assert 0 < max(hidden) <= 30

    run(main)


def test_a_lease_of_a_dead_letter_queue_is_shortened_only_where_it_must_be() -> None:
    assert fitting_lease(120.0, 14 * 86_400.0) == 120.0
    assert fitting_lease(43_000.0, 4 * 86_400.0) == 17_280.0
    assert fitting_lease(120.0, 60.0) == 10.0
