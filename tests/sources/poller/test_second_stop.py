"""A second stop ends at once and releases what open polls still return."""

from __future__ import annotations

import asyncio
from typing import Any

from relay.sources.poller.poller import LAST_POLL
from tests.sources.poller.rig import Rig, until


def hold_answers(rig: Rig) -> tuple[asyncio.Event, asyncio.Event]:
    """Hold back the answers of receives. Returns the events of an answer and of its release."""
    answered, let_through = asyncio.Event(), asyncio.Event()
    call = rig.queue._call

    async def late(action: str, **request: Any) -> Any:
        answer = await call(action, **request)
        if action == "ReceiveMessage":
            answered.set()
            await let_through.wait()
        return answer

    rig.queue._call = late  # type: ignore[method-assign] # observed, not replaced
    return answered, let_through


async def test_messages_of_an_open_poll_are_released(rig: Rig) -> None:
    answered, let_through = hold_answers(rig)
    poller = rig.poller()
    run = asyncio.create_task(poller.run())
    await rig.send([f"m{i}" for i in range(3)])
    await answered.wait()
    poller.stop()
    poller.stop()
    for _ in range(20):  # turns in which an open poll that is not awaited would be cancelled
        await asyncio.sleep(0)
    let_through.set()
    await until(run.done)
    assert set(rig.states.values()) == {"visible"}
    assert rig.handler.started == []


async def test_an_open_poll_without_an_answer_is_not_awaited_for_long(rig: Rig) -> None:
    answered, _ = hold_answers(rig)
    poller = rig.poller()
    run = asyncio.create_task(poller.run())
    await rig.send(["m"])
    await answered.wait()
    start = rig.clock.time()
    poller.stop()
    poller.stop()
    await rig.pass_time(run.done, step=0.25)
    assert LAST_POLL <= rig.clock.time() - start <= LAST_POLL + 1


async def test_messages_that_an_open_poll_receives_again_are_released_again(rig: Rig) -> None:
    await rig.send(["m"])
    rig.handler.hold("m")
    poller = rig.poller()
    run = asyncio.create_task(poller.run())
    await until(lambda: rig.handler.running and rig.server.requests["ReceiveMessage"] == 2)
    poller.stop()
    poller.stop()
    await until(run.done)
    assert rig.states == {"m": "visible"}
    assert rig.handler.cancelled == ["m"]
    assert [stored.receive_count for stored in rig.server_queue.messages()] == [2]


async def test_a_group_keeps_its_order_through_a_second_stop(fifo: Rig) -> None:
    bodies = [f"m{i}" for i in range(4)]
    await fifo.send(bodies, group="g")
    fifo.handler.hold(*bodies)
    poller = fifo.poller()
    run = asyncio.create_task(poller.run())
    await until(lambda: fifo.handler.running and fifo.server.requests["ReceiveMessage"] == 2)
    poller.stop()
    poller.stop()
    await until(run.done)
    assert set(fifo.states.values()) == {"visible"}
    again = await fifo.queue.receive(10, 0)
    assert [one.message.body.decode() for one in again] == bodies
