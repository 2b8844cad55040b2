"""The daemon's pollers, and how a failed task is reported."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from relay.local.sqsd.queue import Pollers
from relay.local.sqsd.request import Received
from relay.local.sqsd.tasks import Failure, Tasks

MESSAGE = Received(
    body="",
    message_id="m",
    receipt="r",
    receive_count="1",
    sent_at=0.0,
    first_received_at=0.0,
    sender_id="",
    attributes={},
)


class Queue:
    """Answers a receive when the test says so."""

    def __init__(self) -> None:
        self.polls: list[tuple[int, asyncio.Future[Sequence[Received]]]] = []
        self.accepted = 0

    async def receive(self, count: int) -> Sequence[Received]:
        answer: asyncio.Future[Sequence[Received]] = asyncio.get_running_loop().create_future()
        self.polls.append((count, answer))
        return await answer

    def accept(self, message: Received) -> None:
        self.accepted += 1

    async def answer(self, count: int) -> None:
        self.polls.pop(0)[1].set_result([MESSAGE] * count)
        for _ in range(3):  # the answered poll ends, and the polls that it starts begin
            await asyncio.sleep(0)


async def polling(connections: int, backlog: int, most: int) -> tuple[Queue, Pollers, Tasks]:
    queue, tasks = Queue(), Tasks(Failure())
    pollers = Pollers(
        queue.receive,
        queue.accept,
        most=most,
        connections=connections,
        backlog=backlog,
        tasks=tasks,
    )
    pollers.start()
    await asyncio.sleep(0)
    return queue, pollers, tasks


async def test_full_receives_add_pollers_up_to_the_most() -> None:
    queue, _, tasks = await polling(connections=50, backlog=200, most=4)
    seen = [len(queue.polls)]
    for _ in range(5):
        await queue.answer(10)
        seen.append(len(queue.polls))
    assert seen == [1, 2, 3, 4, 4, 4]
    tasks.cancel()


async def test_an_empty_receive_leaves_one_poller() -> None:
    queue, _, tasks = await polling(connections=50, backlog=200, most=4)
    for count in (10, 10, 10, 0, 0, 0, 0):
        await queue.answer(count)
    assert len(queue.polls) == 1
    tasks.cancel()


async def test_no_more_is_received_than_may_be_in_flight() -> None:
    queue, pollers, tasks = await polling(connections=5, backlog=20, most=9)
    while queue.polls:
        await queue.answer(queue.polls[0][0])
    assert queue.accepted == 25
    for _ in range(3):
        pollers.left()
    assert len(queue.polls) == 0
    pollers.left()  # a fifth of the backlog is free again
    await asyncio.sleep(0)
    assert [count for count, _ in queue.polls] == [4]
    tasks.cancel()


async def test_the_exception_of_a_task_is_raised_by_check() -> None:
    async def fail() -> None:
        raise ZeroDivisionError

    failure = Failure()
    tasks = Tasks(failure)
    failure.check()
    tasks.start(fail())
    await failure.wait()
    await tasks.ended()
    with pytest.raises(ZeroDivisionError):
        failure.check()
