"""SQS's own move task: followed to its end, or cancelled."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from relay.aws.errors import AwsError
from relay.aws.move_tasks import MoveTasks, open_move_tasks
from relay.aws.session import open_session
from relay.cli.dlq.native import follow
from tests.dlq.conftest import QUICK, Relay
from tests.dlq.place import Place, event, noted


@pytest.fixture
async def tasks(place: Place) -> AsyncIterator[MoveTasks]:
    queue = await place.queue("dead")
    async with open_session() as session, open_move_tasks(session, queue) as found:
        yield found


async def test_a_task_is_followed_to_its_end(place: Place, tasks: MoveTasks) -> None:
    for i in range(5):
        await place.send("dead", event(i), attributes=noted(f"id-{i}"))
    seen: list[int] = []

    async def sleep(_seconds: float) -> None:
        place.clock.advance(1.0)
        await asyncio.sleep(0)

    handle = await tasks.start(place.sqs.queues["main"].arn, rate=2)
    ended = await follow(tasks, handle, stop=asyncio.Event(), progress=seen.append, sleep=sleep)
    assert (ended.moved, ended.problem) == (5, None)
    assert seen[-1] == 5
    assert len(place.bodies("main")) == 5


async def test_a_stop_cancels_the_task(place: Place, tasks: MoveTasks) -> None:
    await place.send("dead", event(), attributes=noted("a"))
    stop = asyncio.Event()
    stop.set()
    handle = await tasks.start(place.sqs.queues["main"].arn, rate=1)
    ended = await follow(tasks, handle, stop=stop, progress=lambda _: None)
    assert (ended.moved, ended.cancelled) == (0, True)
    assert len(place.bodies("dead")) == 1


async def test_a_task_that_fails_is_told(place: Place, tasks: MoveTasks) -> None:
    await place.send("dead", event(), attributes=noted("a"))
    place.make("gone")
    handle = await tasks.start(place.sqs.queues["gone"].arn)
    place.sqs.account.delete(place.sqs.queues["gone"])

    async def sleep(_seconds: float) -> None:
        place.clock.advance(1.0)
        await asyncio.sleep(0)

    ended = await follow(tasks, handle, stop=asyncio.Event(), progress=lambda _: None, sleep=sleep)
    assert "FAILED" in (ended.problem or "")


async def test_a_refused_start_is_a_sentence(place: Place, tasks: MoveTasks) -> None:
    await place.send("dead", event(), attributes=noted("a"))
    await tasks.start(place.sqs.queues["main"].arn, rate=1)
    with pytest.raises(AwsError, match="already a task running"):
        await tasks.start(place.sqs.queues["main"].arn)


async def test_the_command_moves_everything_where_every_id_is_safe(
    relay: Relay, place: Place
) -> None:
    for i in range(3):
        await place.send("dead", event(i), attributes=noted(f"id-{i}"))

    async def tick() -> None:
        while True:
            await place.clock.until_asleep()
            place.clock.advance(1.0)

    ticking = asyncio.create_task(tick())
    ended = await relay("dlq", "redrive", "--native", "--yes", *QUICK)
    ticking.cancel()
    assert (ended.code, ended.out) == (0, "3 messages moved\n")
    assert {origin["id"] for origin in place.origins("main")} == {"id-0", "id-1", "id-2"}
