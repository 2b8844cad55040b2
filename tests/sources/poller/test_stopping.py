"""A stop receives no more, finishes what it can and leaves no message hidden."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from relay.delivery.retention import Retention
from relay.local.sqs.faults import Fault
from relay.model.outcome import Retry
from relay.sources.poller.deliveries import Deliveries
from relay.sources.poller.receive_gate import ExpiringSweep, ReceiveHealth
from relay.sources.poller.receiver import Capacity
from relay.sources.poller.scheduler import FairScheduler
from relay.sources.poller.settling import Settler
from tests.sources.poller.rig import PATIENCE, ManualGate, Rig, until


async def test_started_messages_are_finished_and_the_others_released(rig: Rig) -> None:
    bodies = [f"m{i}" for i in range(10)]
    await rig.send(bodies)
    rig.handler.hold(*bodies)
    async with rig.running(limits={"handler_concurrency": 4}) as poller:
        await until(lambda: poller.status.in_flight == 10 and len(rig.handler.running) == 4)
        poller.stop()
        await rig.pass_time(lambda: poller.status.in_flight == 4)
        rig.handler.free()
        await until(lambda: poller.status.in_flight == 0)
        assert list(rig.states.values()) == ["visible"] * 6
    assert len(rig.handler.started) == 4


async def test_messages_not_finished_by_the_deadline_are_withdrawn_and_released(rig: Rig) -> None:
    await rig.send(["stuck"])
    rig.handler.hold("stuck")
    start = rig.clock.time()
    async with rig.running(limits={"drain": 25.0}):
        await until(lambda: rig.handler.running)
    assert 25 <= rig.clock.time() - start <= 32
    assert rig.handler.cancelled == ["stuck"]
    assert rig.states == {"stuck": "visible"}


async def test_a_long_poll_ends_before_a_stop_must(rig: Rig) -> None:
    # SQS may still hand a cancelled poll the messages that are released just then.
    waits: list[int] = []
    call = rig.queue._call

    async def seen(action: str, **request: Any) -> Any:
        if action == "ReceiveMessage":
            waits.append(request["WaitTimeSeconds"])
        return await call(action, **request)

    rig.queue._call = seen  # type: ignore[method-assign] # observed, not replaced
    async with rig.running(limits={"drain": 5.0}):
        await until(lambda: waits)
    assert 1 <= waits[0] < 5


async def test_a_second_stop_releases_at_once(rig: Rig) -> None:
    bodies = [f"m{i}" for i in range(12)]
    await rig.send(bodies)
    rig.handler.hold(*bodies)
    async with rig.running(limits={"max_in_flight": 12}) as poller:
        await until(lambda: len(rig.handler.running) == 12)
        poller.stop()
        poller.stop()
        await until(lambda: set(rig.states.values()) == {"visible"})
    assert len(rig.handler.cancelled) == 12


async def test_a_message_withdrawn_before_its_start_is_released(rig: Rig) -> None:
    await rig.send(["m"])
    capacity = Capacity(count=10, size=10_000_000, largest=1_048_576)
    settler = Settler(
        rig.queue, ReceiveHealth(clock=rig.clock.time), linger=0.0, clock=rig.clock.time
    )
    deliveries = Deliveries(
        lambda message, _: rig.handler(message),
        FairScheduler(),
        capacity,
        settler,
        gate=ExpiringSweep(ManualGate(), Retention()),
        visibility=60.0,
        slots=10,
        clock=rig.clock.time,
    )
    async with deliveries:
        reserved = capacity.reserve(10)
        deliveries.accept(await rig.queue.receive(1, 0), rig.clock.time(), reserved)
        deliveries.withdraw()
        async with asyncio.timeout(PATIENCE):
            await deliveries.wait_empty()
    assert rig.handler.started == []
    assert (deliveries.handling, capacity.reserved) == (0, 0)
    assert rig.states == {"m": "visible"}


async def test_an_open_poll_is_awaited_and_its_messages_released(rig: Rig) -> None:
    async with rig.running() as poller:
        await until(lambda: rig.server.requests["ReceiveMessage"] == 1)
        poller.stop()
        await rig.send(["late"])
        await until(lambda: rig.server.requests["ChangeMessageVisibilityBatch"] == 1)
        await until(lambda: rig.states == {"late": "visible"})
        assert poller.status.state == "stopping"
    assert rig.handler.started == []
    assert rig.server.requests["ReceiveMessage"] == 1


async def test_a_message_retried_while_stopping_is_released_at_once(rig: Rig) -> None:
    await rig.send(["m"])
    rig.handler.hold("m")
    rig.handler.answers["m"] = Retry("stopping")
    async with rig.running() as poller:
        await until(lambda: rig.handler.running)
        poller.stop()
        rig.handler.free()
        await rig.pass_time(lambda: rig.states == {"m": "visible"})


async def test_a_stop_does_not_wait_for_a_closed_gate_or_a_halted_queue(rig: Rig) -> None:
    rig.server.faults.add(
        Fault(action="ReceiveMessage", error="AccessDeniedException", status=400, times=None)
    )
    poller = rig.poller()
    run = asyncio.create_task(poller.run())
    await until(lambda: poller.status.state == "halted")
    poller.stop()
    await until(run.done)
    closed = rig.poller(gate=ManualGate(accepting=False))
    run = asyncio.create_task(closed.run())
    await until(lambda: rig.server.requests["GetQueueAttributes"] == 2)
    closed.stop()
    await until(run.done)


async def test_a_cancelled_run_releases_its_messages(rig: Rig) -> None:
    bodies = [f"m{i}" for i in range(12)]
    await rig.send(bodies)
    rig.handler.hold(*bodies)
    poller = rig.poller(limits={"handler_concurrency": 5, "max_in_flight": 12})
    run = asyncio.create_task(poller.run())
    await until(lambda: poller.status.in_flight == 12)
    run.cancel()
    with pytest.raises(asyncio.CancelledError):
        await run
    assert set(rig.states.values()) == {"visible"}


async def test_waiting_deletes_are_flushed(rig: Rig) -> None:
    await rig.send(["m"])
    async with rig.running(limits={"linger": 0.1}) as poller:
        await until(lambda: rig.handler.started)
        poller.stop()
        await until(lambda: poller.status.in_flight == 0)
    assert rig.states == {}
