"""A redrive beside duplicates, other operators, new dead letters and a stop: each sent once."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from tests.dlq.queues import LocalQueues, event, origin_attribute, send_dead_letters
from tests.dlq.redriver import Redriver


async def test_duplicates_are_redriven_once(redriver: Redriver, queues: LocalQueues) -> None:
    for _ in range(3):
        await queues.send("dead", event(), attributes=origin_attribute("same"))
    await queues.send("dead", event(data={"other": "text"}), attributes=origin_attribute("same"))
    queues.clock.advance(60)
    counts = await redriver.redrive()
    assert (counts.done, counts.duplicates, counts.complete) == (2, 2, True)
    assert len(queues.bodies("main")) == 2
    assert queues.stored("dead") == ()


async def test_a_message_received_twice_in_one_batch_is_redriven_once(
    redriver: Redriver, queues: LocalQueues
) -> None:
    await send_dead_letters(queues, 1)
    [stored] = queues.stored("dead")
    queues.sqs.queues["dead"].duplicate(stored)
    counts = await redriver.redrive()
    assert queues.bodies("main") == [event(0)]
    assert counts.done == 1


async def test_what_is_dead_lettered_again_is_skipped_and_the_run_ends(
    redriver: Redriver, queues: LocalQueues
) -> None:
    """What is sent is dead-lettered at once: a run that sent it again would never end."""
    await send_dead_letters(queues, 40)
    queues.clock.advance(60)
    async with dead_lettered_at_once(queues):
        counts = await redriver.redrive()
    assert counts.done <= 40
    assert set(counts.skipped) <= {"dead_lettered_again", "arrived", "limit"}
    assert not counts.complete
    assert len(queues.bodies("main")) + len(queues.bodies("dead")) == 40


async def test_a_growing_queue_stops_the_run(redriver: Redriver, queues: LocalQueues) -> None:
    await send_dead_letters(queues, 200)
    queues.clock.advance(60)
    async with dead_lettered_at_once(queues):
        counts = await redriver.redrive()
    assert counts.stopped is not None
    assert "has grown by" in counts.stopped
    assert counts.done <= 200
    assert queues.sqs.queues["dead"].counts()[1] == 0


@asynccontextmanager
async def dead_lettered_at_once(queues: LocalQueues) -> AsyncIterator[None]:
    """Whatever arrives in the main queue is moved back by SQS."""

    async def dead_letter_all() -> None:
        while True:
            queues.clock.advance(2)
            await queues.move_by_sqs()
            await asyncio.sleep(0.005)

    moving = asyncio.create_task(dead_letter_all())
    try:
        yield
    finally:
        moving.cancel()
        await asyncio.wait({moving})


async def test_two_operators_at_once_do_no_harm(queues: LocalQueues, tmp_path: Path) -> None:
    bodies = await send_dead_letters(queues, 60)
    one, other = Redriver(queues, tmp_path / "one"), Redriver(queues, tmp_path / "other")
    both = await asyncio.gather(one.redrive(), other.redrive())
    assert sum(counts.done for counts in both) == 60
    assert sorted(queues.bodies("main")) == sorted(bodies)
    assert queues.stored("dead") == ()


async def test_a_stop_finishes_what_is_under_way_and_releases_the_rest(
    redriver: Redriver, queues: LocalQueues
) -> None:
    bodies = await send_dead_letters(queues, 100)
    counts = await redriver.redrive(progress=lambda _: redriver.stop.set())
    assert counts.interrupted
    assert 0 < counts.done < 100
    assert counts.done == counts.deleted == len(queues.bodies("main"))
    assert queues.visible("dead") == 100 - counts.done
    redriver.stop.clear()
    assert (await redriver.redrive()).complete
    assert sorted(queues.bodies("main")) == sorted(bodies)
