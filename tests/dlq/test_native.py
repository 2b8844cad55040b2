"""SQS's own move task: followed to its end, or cancelled."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from relay.aws.errors import AwsError
from relay.aws.move_tasks import MoveTasks, open_move_tasks
from relay.aws.session import open_session
from relay.cli.dlq.native import follow
from tests.dlq.conftest import QUICK, Relay
from tests.dlq.queues import LocalQueues, event, origin_attribute


@pytest.fixture
async def tasks(queues: LocalQueues) -> AsyncIterator[MoveTasks]:
    queue = await queues.queue("dead")
    async with open_session() as session, open_move_tasks(session, queue) as found:
        yield found


async def test_a_task_is_followed_to_its_end(queues: LocalQueues, tasks: MoveTasks) -> None:
    for i in range(5):
        await queues.send("dead", event(i), attributes=origin_attribute(f"id-{i}"))
    seen: list[int] = []

    async def sleep(_seconds: float) -> None:
        queues.clock.advance(1.0)
        await asyncio.sleep(0)

    handle = await tasks.start(queues.sqs.queues["main"].arn, rate=2)
    ended = await follow(tasks, handle, stop=asyncio.Event(), progress=seen.append, sleep=sleep)
    assert (ended.moved, ended.problem) == (5, None)
    assert seen[-1] == 5
    assert len(queues.bodies("main")) == 5


async def test_a_stop_cancels_the_task(queues: LocalQueues, tasks: MoveTasks) -> None:
    await queues.send("dead", event(), attributes=origin_attribute("a"))
    stop = asyncio.Event()
    stop.set()
    handle = await tasks.start(queues.sqs.queues["main"].arn, rate=1)
    ended = await follow(tasks, handle, stop=stop, progress=lambda _: None)
    assert (ended.moved, ended.cancelled) == (0, True)
    assert len(queues.bodies("dead")) == 1


async def test_a_failed_task_is_reported(queues: LocalQueues, tasks: MoveTasks) -> None:
    await queues.send("dead", event(), attributes=origin_attribute("a"))
    queues.make("gone")
    handle = await tasks.start(queues.sqs.queues["gone"].arn)
    queues.sqs.account.delete(queues.sqs.queues["gone"])

    async def sleep(_seconds: float) -> None:
        queues.clock.advance(1.0)
        await asyncio.sleep(0)

    ended = await follow(tasks, handle, stop=asyncio.Event(), progress=lambda _: None, sleep=sleep)
    assert "FAILED" in (ended.problem or "")


async def test_a_refused_start_is_a_sentence(queues: LocalQueues, tasks: MoveTasks) -> None:
    await queues.send("dead", event(), attributes=origin_attribute("a"))
    await tasks.start(queues.sqs.queues["main"].arn, rate=1)
    with pytest.raises(AwsError, match="already a task running"):
        await tasks.start(queues.sqs.queues["main"].arn)


async def test_the_command_moves_everything_if_every_id_is_safe(
    relay: Relay, queues: LocalQueues
) -> None:
    for i in range(3):
        await queues.send("dead", event(i), attributes=origin_attribute(f"id-{i}"))

    async def tick() -> None:
        while True:
            await queues.clock.until_asleep()
            queues.clock.advance(1.0)

    ticking = asyncio.create_task(tick())
    ended = await relay("dlq", "redrive", "--native", "--yes", *QUICK)
    ticking.cancel()
    assert (ended.code, ended.out) == (0, "3 messages moved\n")
    assert {origin["id"] for origin in queues.origins("main")} == {"id-0", "id-1", "id-2"}
