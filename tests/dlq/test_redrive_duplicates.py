"""A redrive beside copies, other operators, letters that come back and a stop: each letter once."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from tests.dlq.place import Place, event, letters, noted
from tests.dlq.redriver import Desk


async def test_copies_of_one_letter_are_one_redrive(desk: Desk, place: Place) -> None:
    for _ in range(3):
        await place.send("dead", event(), attributes=noted("same"))
    await place.send("dead", event(data={"other": "text"}), attributes=noted("same"))
    place.clock.advance(60)
    counts = await desk.redrive()
    assert (counts.done, counts.duplicates, counts.complete) == (2, 2, True)
    assert len(place.bodies("main")) == 2
    assert place.stored("dead") == ()


async def test_a_message_delivered_twice_in_one_batch_is_one_redrive(
    desk: Desk, place: Place
) -> None:
    await letters(place, 1)
    [stored] = place.stored("dead")
    place.sqs.queues["dead"].duplicate(stored)
    counts = await desk.redrive()
    assert place.bodies("main") == [event(0)]
    assert counts.done == 1


async def test_what_comes_back_during_the_run_is_left_and_the_run_ends(
    desk: Desk, place: Place
) -> None:
    """Whatever is sent dies at once: a run that took it up again would never end."""
    await letters(place, 40)
    place.clock.advance(60)
    async with dying_at_once(place):
        counts = await desk.redrive()
    assert counts.done <= 40
    assert set(counts.skipped) <= {"returned", "arrived", "limit"}
    assert not counts.complete
    assert len(place.bodies("main")) + len(place.bodies("dead")) == 40


async def test_a_queue_that_grows_while_it_works_stops_the_run(desk: Desk, place: Place) -> None:
    await letters(place, 200)
    place.clock.advance(60)
    async with dying_at_once(place):
        counts = await desk.redrive()
    assert counts.stopped is not None
    assert "has grown by" in counts.stopped
    assert counts.done <= 200
    assert place.sqs.queues["dead"].counts()[1] == 0


@asynccontextmanager
async def dying_at_once(place: Place) -> AsyncIterator[None]:
    """Whatever arrives in the main queue is moved back by SQS."""

    async def die() -> None:
        while True:
            place.clock.advance(2)
            await place.bury()
            await asyncio.sleep(0.005)

    dying = asyncio.create_task(die())
    try:
        yield
    finally:
        dying.cancel()
        await asyncio.wait({dying})


async def test_two_operators_at_once_do_not_hurt_each_other(place: Place, tmp_path: Path) -> None:
    bodies = await letters(place, 60)
    one, other = Desk(place, tmp_path / "one"), Desk(place, tmp_path / "other")
    tallies = await asyncio.gather(one.redrive(), other.redrive())
    assert sum(counts.done for counts in tallies) == 60
    assert sorted(place.bodies("main")) == sorted(bodies)
    assert place.stored("dead") == ()


async def test_a_stop_finishes_what_is_under_way_and_releases_the_rest(
    desk: Desk, place: Place
) -> None:
    bodies = await letters(place, 100)
    counts = await desk.redrive(progress=lambda _: desk.stop.set())
    assert counts.interrupted
    assert 0 < counts.done < 100
    assert counts.done == counts.deleted == len(place.bodies("main"))
    assert place.visible("dead") == 100 - counts.done
    desk.stop.clear()
    assert (await desk.redrive()).complete
    assert sorted(place.bodies("main")) == sorted(bodies)
