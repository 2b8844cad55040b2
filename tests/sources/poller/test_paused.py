"""The poller while the queue is paused: it receives nothing, and finishes what is in flight."""

from __future__ import annotations

import asyncio
from typing import Any

from relay.sources.poller.receive_gate import AlwaysOpen, PausableGate
from tests.delivery.test_paused_handler import ManualPause
from tests.sources.poller.rig import ManualGate, Rig, until


def pausable(inner: Any = None) -> tuple[ManualPause, PausableGate]:
    pause = ManualPause()
    return pause, PausableGate(inner or AlwaysOpen(), pause)


async def test_nothing_is_received_while_paused_and_everything_afterwards(rig: Rig) -> None:
    pause, gate = pausable()
    pause.begin()
    await rig.send(["a", "b"])
    async with rig.running(gate=gate):
        await until(lambda: rig.server.requests["GetQueueAttributes"])
        assert rig.server.requests["ReceiveMessage"] == 0
        assert set(rig.states.values()) == {"visible"}
        pause.end()
        await until(lambda: not rig.states)
    assert sorted(rig.handler.started) == ["a", "b"]


async def test_what_is_in_flight_is_finished_and_its_lease_extended(rig: Rig) -> None:
    pause, gate = pausable()
    rig.handler.hold("slow")
    await rig.send(["slow"])
    async with rig.running(gate=gate):
        await until(lambda: rig.handler.running)
        pause.begin()
        await rig.pass_time(lambda: rig.counts["Extended"] >= 3)
        rig.handler.free("slow")
        await until(lambda: not rig.states)
    assert rig.handler.cancelled == []


async def test_what_an_open_poll_returns_is_released_in_time_for_another_relay(rig: Rig) -> None:
    pause, gate = pausable()
    async with rig.running(gate=gate):
        await until(lambda: rig.server.requests["ReceiveMessage"] == 1)
        pause.begin()
        await rig.send(["late"])
        await until(lambda: rig.server.requests["ChangeMessageVisibilityBatch"] == 1)
        await until(lambda: rig.states == {"late": "visible"})
        assert rig.handler.started == []
        assert rig.server.requests["ReceiveMessage"] == 1
        pause.end()
        await until(lambda: not rig.states)


async def test_the_messages_of_a_group_are_released_in_their_order(fifo: Rig) -> None:
    pause, gate = pausable()
    async with fifo.running(gate=gate):
        await until(lambda: fifo.server.requests["ReceiveMessage"] == 1)
        pause.begin()
        await fifo.send(["1", "2", "3"], group="g")
        await until(lambda: fifo.server.requests["ChangeMessageVisibilityBatch"])
        await until(lambda: set(fifo.states.values()) == {"visible"})
        pause.end()
        await until(lambda: not fifo.states)
    assert fifo.handler.started == ["1", "2", "3"]


async def test_a_message_that_is_only_looked_at_for_its_age_is_released(rig: Rig) -> None:
    pause, gate = pausable()
    pause.begin()
    await rig.change(MessageRetentionPeriod="60")
    await rig.send(["young"])
    async with rig.running(gate=gate):
        await until(lambda: rig.server.requests["ReceiveMessage"] >= 2)
        await until(lambda: rig.states == {"young": "visible"})
    assert rig.handler.started == []


async def test_a_message_that_sqs_will_soon_delete_is_taken(rig: Rig) -> None:
    pause, gate = pausable()
    await rig.change(MessageRetentionPeriod="60")
    await rig.send(["old"])
    rig.clock.advance(55.0)
    await rig.send(["young"])
    pause.begin()
    async with rig.running(gate=gate):
        await until(lambda: rig.states == {"young": "visible"})
    assert rig.handler.started == ["old"]


async def test_a_pause_during_an_outage_keeps_the_gate_closed_when_the_outage_ends(
    rig: Rig,
) -> None:
    outage = ManualGate(accepting=False)
    pause, gate = pausable(outage)
    await rig.send(["a"])
    async with rig.running(gate=gate):
        pause.begin()
        outage.set(accepting=True)
        await until(lambda: outage.waiting == 0)
        for _ in range(50):
            await asyncio.sleep(0)
        assert rig.server.requests["ReceiveMessage"] == 0
        pause.end()
        await until(lambda: not rig.states)


async def test_a_paused_poller_stops_at_once(rig: Rig) -> None:
    pause, gate = pausable()
    pause.begin()
    poller = rig.poller(gate=gate)
    running = asyncio.create_task(poller.run())
    await until(lambda: rig.server.requests["GetQueueAttributes"])
    poller.stop()
    async with asyncio.timeout(20):
        await running
