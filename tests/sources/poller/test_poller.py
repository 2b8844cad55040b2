"""What a poller does with messages, and how many it receives."""

from __future__ import annotations

import asyncio

from relay.local.sqs.faults import Fault, Request
from relay.model.facts import HandlerRaised
from relay.model.outcome import Reject, Retry
from tests.sources.poller.rig import ManualGate, Rig, until


async def test_delivered_messages_are_deleted_in_batches_of_ten(rig: Rig) -> None:
    bodies = [f"m{i}" for i in range(35)]
    await rig.send(bodies)
    async with rig.running(limits={"linger": 0.1}):
        await until(lambda: not rig.states)
    assert sorted(rig.handler.started) == sorted(bodies)
    assert rig.server.requests["DeleteMessageBatch"] <= 5


async def test_a_rejected_message_is_deleted_too(rig: Rig) -> None:
    await rig.send(["poison"])
    rig.handler.answers["poison"] = Reject("not_json", "It is no JSON.")
    async with rig.running():
        await until(lambda: not rig.states)


async def test_a_retried_message_is_delivered_again_after_its_seconds(
    rig: Rig,
) -> None:
    await rig.send(["later"])
    rig.handler.answers["later"] = Retry("not now", after=120.0)
    async with rig.running() as poller:
        await until(lambda: rig.handler.started and poller.status.in_flight == 0)
        (stored,) = rig.server_queue.messages()
        assert stored.visible_at == rig.clock.time() + 120
        rig.handler.answers.clear()
        await rig.pass_time(lambda: not rig.states, step=10)
    assert rig.handler.started == ["later"] * 2


async def test_a_retry_without_seconds_is_short_at_first(rig: Rig) -> None:
    await rig.send(["later"])
    rig.handler.answers["later"] = Retry("not now")
    async with rig.running() as poller:
        await until(lambda: rig.handler.started and poller.status.in_flight == 0)
        (stored,) = rig.server_queue.messages()
        assert rig.clock.time() + 1 <= stored.visible_at <= rig.clock.time() + 2


async def test_a_handler_that_raises_keeps_its_message_and_harms_no_other(rig: Rig) -> None:
    await rig.send(["bad", "good"])
    rig.handler.answers["bad"] = ValueError("of the handler's own")
    async with rig.running() as poller:
        await until(lambda: poller.status.in_flight == 0 and len(rig.handler.started) == 2)
        assert list(rig.states) == ["bad"]
    assert [type(f.error) for f in rig.facts if isinstance(f, HandlerRaised)] == [ValueError]


async def test_capacity_is_reserved_before_a_receive(rig: Rig) -> None:
    bodies = [f"m{i}" for i in range(10)]
    await rig.send(bodies)
    rig.handler.hold(*bodies)
    async with rig.running(limits={"max_in_flight": 3}) as poller:
        await until(lambda: len(rig.handler.running) == 3)
        assert sorted(rig.states.values()) == ["in_flight"] * 3 + ["visible"] * 7
        assert poller.status.in_flight == 3
        rig.handler.free()
        await until(lambda: not rig.states)
    assert rig.handler.most == 3


async def test_bytes_in_flight_are_limited_before_messages_arrive(rig: Rig) -> None:
    await rig.change(MaximumMessageSize="10000")
    bodies = [f"{i}".zfill(4_000) for i in range(6)]
    await rig.send(bodies)
    rig.handler.hold(*bodies)
    async with rig.running(limits={"max_in_flight_bytes": 20_000}):
        # There is capacity for two of the largest size. Once known to be small they leave capacity
        # for one at a time, until three have 12,000 bytes and another could have 10,000.
        await until(lambda: len(rig.handler.running) == 3)
        assert sorted(rig.states.values()) == ["in_flight"] * 3 + ["visible"] * 3
        rig.handler.free()
        await until(lambda: not rig.states)


async def test_an_idle_queue_costs_one_long_poll_at_a_time(rig: Rig) -> None:
    async with rig.running():
        await until(lambda: rig.server.requests["ReceiveMessage"] == 1)
        await rig.pass_time(lambda: rig.server.requests["ReceiveMessage"] == 4)
        assert rig.server.requests.total() == 4 + 2  # the queue was created and read


async def test_more_receivers_run_while_receives_come_back_full(rig: Rig) -> None:
    bodies = [f"m{i}" for i in range(40)]
    await rig.send(bodies)
    rig.handler.hold(*bodies)
    under_way: list[int] = []
    rig.server.faults.add(Fault(action="ReceiveMessage", skip=1, times=3, delay=5.0))
    async with rig.running():
        await until(lambda: len(rig.handler.running) == 10)
        await until(lambda: rig.server.requests["ReceiveMessage"] >= 2)
        await rig.pass_time(lambda: len(rig.handler.running) == 40)
        under_way.append(rig.server.requests["ReceiveMessage"])
        rig.handler.free()
        await until(lambda: not rig.states)
    assert under_way[0] <= 9


async def test_nothing_is_received_while_the_gate_is_closed_and_then_one_message_first(
    rig: Rig,
) -> None:
    await rig.send([f"m{i}" for i in range(10)])
    gate = ManualGate(accepting=False)
    rig.handler.hold(*(f"m{i}" for i in range(10)))
    requested: list[int] = []

    def record(request: Request) -> None:
        if request.action == "ReceiveMessage":
            requested.append(request.payload["MaxNumberOfMessages"])

    async with rig.running(gate=gate, limits={"receivers": 1}):
        await until(lambda: gate.waiting)
        assert rig.server.requests["ReceiveMessage"] == 0
        rig.server._app._faults = record
        gate.set(accepting=True)
        await until(lambda: len(rig.handler.running) == 10)
        assert requested[0] == 1
        rig.handler.free()
        await until(lambda: not rig.states)


async def test_no_tenant_takes_more_than_its_share_while_others_wait(rig: Rig) -> None:
    noisy = [f"noisy{i}" for i in range(20)]
    quiet = [f"quiet{i}" for i in range(4)]
    await rig.send(noisy, group="noisy")
    await rig.send(quiet, group="quiet")
    rig.handler.hold(*noisy, *quiet)
    async with rig.running(limits={"handler_concurrency": 8}) as poller:
        await until(lambda: poller.status.in_flight == 24)
        running = list(rig.handler.running)
        rig.handler.free(*running[:4])
        await until(lambda: len(rig.handler.started) == 12)
        assert sum(body.startswith("quiet") for body in rig.handler.running) == 4
        rig.handler.free()
        await until(lambda: not rig.states)


async def test_two_pollers_share_a_queue(rig: Rig) -> None:
    bodies = [f"m{i}" for i in range(100)]
    await rig.send(bodies)
    async with rig.running(limits={"max_in_flight": 10}), rig.running(limits={"max_in_flight": 10}):
        await until(lambda: not rig.states)
    assert sorted(rig.handler.started) == sorted(bodies)


async def test_a_second_receive_of_a_message_in_flight_is_not_started_again(rig: Rig) -> None:
    await rig.send(["twin"])
    rig.handler.hold("twin")
    rig.server.faults.add(Fault(action="ReceiveMessage", duplicate=True))
    async with rig.running() as poller:
        await until(lambda: [s.state for s in rig.server_queue.messages()] == ["in_flight"] * 2)
        await asyncio.sleep(0)
        assert poller.status.in_flight == 1
        rig.handler.free()
        await until(lambda: not rig.states)
    assert rig.handler.started == ["twin"]
