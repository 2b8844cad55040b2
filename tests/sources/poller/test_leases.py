"""Leases: extensions, and what happens when a lease is lost."""

from __future__ import annotations

from relay.local.sqs.faults import Fault
from relay.model.facts import DeletedLate, Extended, LeaseLost
from relay.model.outcome import Retry
from tests.sources.poller.rig import ManualGate, Rig, until

HOURS = 3_600.0


async def test_messages_in_flight_stay_hidden_for_as_long_as_it_takes(rig: Rig) -> None:
    await rig.send(["slow", "buffered"])
    rig.handler.hold("slow", "buffered")
    async with rig.running(limits={"handler_concurrency": 1}) as poller:
        await until(lambda: poller.status.in_flight == 2)
        end = rig.clock.time() + 200
        await rig.pass_time(lambda: rig.clock.time() >= end, step=2)
        assert [stored.receive_count for stored in rig.server_queue.messages()] == [1, 1]
        rig.handler.free()
        await until(lambda: not rig.states)
    assert len(rig.handler.started) == 2
    assert not rig.counts["LeaseLost"]


async def test_extensions_are_sent_in_batches_of_ten(rig: Rig) -> None:
    await rig.change(VisibilityTimeout="300")
    bodies = [f"m{i}" for i in range(30)]
    await rig.send(bodies)
    rig.handler.hold(*bodies)
    async with rig.running():
        await until(lambda: len(rig.handler.running) == 30)
        # Past the latest time that jitter allows, and before any of them can be due again.
        end = rig.clock.time() + 183
        await rig.pass_time(lambda: rig.clock.time() >= end, step=61)
        extended = [fact.count for fact in rig.facts if isinstance(fact, Extended)]
        assert sum(extended) == 30
        assert len(extended) <= 6
        rig.handler.free()
        await until(lambda: not rig.states)


async def test_no_lease_is_extended_past_the_twelve_hours_of_sqs(rig: Rig) -> None:
    await rig.change(VisibilityTimeout="3600")
    await rig.send(["endless"])
    rig.handler.hold("endless")
    async with rig.running():
        await until(lambda: rig.handler.running)
        start = rig.clock.time()
        await rig.pass_time(lambda: rig.counts["LeaseLost"], step=300)
        assert 12 * HOURS - 10 <= rig.clock.time() - start <= 12 * HOURS + 300
        assert all(fact.failed == 0 for fact in rig.facts if isinstance(fact, Extended))
        rig.handler.free()
        await rig.pass_time(lambda: not rig.states)


async def test_a_refused_extension_loses_the_lease_and_the_late_delete_is_counted(
    rig: Rig,
) -> None:
    await rig.send(["lost"])
    rig.handler.hold("lost")
    rig.server.faults.add(
        Fault(
            action="ChangeMessageVisibilityBatch",
            entries={0: "MessageNotInflight"},
            sender_fault=True,
        )
    )
    async with rig.running():
        await until(lambda: rig.handler.running)
        await rig.pass_time(lambda: rig.counts["LeaseLost"])
        (stored,) = rig.server_queue.messages()
        rig.handler.free()
        await rig.pass_time(lambda: not rig.states)
    assert DeletedLate(stored.message_id) in rig.facts


async def test_a_transient_failure_of_an_extension_is_retried_until_the_lease_ends(
    rig: Rig,
) -> None:
    await rig.send(["slow"])
    rig.handler.hold("slow")
    rig.server.faults.add(
        Fault(action="ChangeMessageVisibilityBatch", entries={0: "InternalError"}, times=2),
        Fault(action="ChangeMessageVisibilityBatch", error="RequestThrottled", times=2),
    )
    async with rig.running():
        await until(lambda: rig.handler.running)
        end = rig.clock.time() + 60
        await rig.pass_time(lambda: rig.clock.time() >= end, step=0.5)
        assert rig.counts["LeaseLost"] == 0
        rig.handler.free()
        await until(lambda: not rig.states)
    assert rig.handler.started == ["slow"]


async def test_an_extension_without_an_answer_delays_none_of_the_others(rig: Rig) -> None:
    await rig.send(["early"])
    rig.handler.hold("early", "late")
    hanging = Fault(action="ChangeMessageVisibilityBatch", delay=HOURS)
    rig.server.faults.add(hanging)
    async with rig.running():
        await until(lambda: "early" in rig.handler.running)
        await until(lambda: rig.server.requests["ReceiveMessage"] == 2)
        await rig.clock.until_asleep(3)  # the heartbeat, the retention and the poll
        rig.clock.advance(20)
        await until(lambda: rig.server.requests["ChangeMessageVisibilityBatch"] == 1)
        await until(lambda: rig.server.requests["ReceiveMessage"] == 3)  # its lease begins later
        await rig.send(["late"])
        await until(lambda: "late" in rig.handler.running)
        rig.clock.advance(20)
        await until(lambda: rig.server.requests["ChangeMessageVisibilityBatch"] > 1)
        await until(lambda: rig.counts["Extended"])
        rig.handler.free()
        rig.clock.advance(HOURS)
        await rig.pass_time(lambda: not rig.states)


async def test_a_waiting_message_that_loses_its_lease_is_not_started(rig: Rig) -> None:
    await rig.send(["first"])
    rig.handler.hold("first")
    async with rig.running(limits={"handler_concurrency": 1}) as poller:
        await until(lambda: rig.handler.running)
        await rig.send(["second"])
        await until(lambda: poller.status.in_flight == 2)
        rig.clock.advance(31)  # in one step: a suspended process extends nothing
        await until(lambda: rig.counts["LeaseLost"] == 2)
        assert rig.handler.started == ["first"]
        rig.handler.free()
        await rig.pass_time(lambda: not rig.states)
    assert rig.handler.started.count("second") == 1


async def test_a_suspended_process_notices_that_its_leases_have_ended(rig: Rig) -> None:
    await rig.send(["m"])
    rig.handler.hold("m")
    async with rig.running() as poller:
        await until(lambda: rig.handler.running)
        (stored,) = rig.server_queue.messages()
        rig.clock.advance(1_000)
        await until(lambda: LeaseLost(stored.message_id) in rig.facts)
        # The message is visible again. Receiving it renews its lease.
        await rig.pass_time(lambda: rig.states == {"m": "in_flight"}, step=0.1)
        assert poller.status.in_flight == 1
        rig.handler.free()
        await rig.pass_time(lambda: not rig.states)
    assert rig.handler.started == ["m"]


async def test_a_message_that_loses_its_lease_while_the_gate_is_closed_is_withdrawn(
    rig: Rig,
) -> None:
    await rig.send(["m"])
    rig.handler.hold("m")
    gate = ManualGate()
    async with rig.running(gate=gate):
        await until(lambda: rig.handler.running)
        gate.set(accepting=False)
        rig.clock.advance(31)
        await until(lambda: rig.handler.cancelled)
        rig.handler.free()
        gate.set(accepting=True)
        await rig.pass_time(lambda: not rig.states)
    assert rig.handler.started == ["m", "m"]


async def test_a_message_that_sqs_deleted_is_not_withdrawn_because_this_is_the_last_copy(
    rig: Rig,
) -> None:
    await rig.change(MessageRetentionPeriod="100")
    await rig.send(["m"])
    rig.handler.hold("m")
    gate = ManualGate()
    async with rig.running(gate=gate):
        await until(lambda: rig.handler.running)
        gate.set(accepting=False)
        rig.clock.advance(101)
        await until(lambda: rig.counts["LeaseLost"] == 1)
        assert not rig.states
        rig.handler.free()
        await until(lambda: rig.counts["DeletedLate"] == 1)
    assert (rig.handler.started, rig.handler.cancelled) == (["m"], [])


async def test_an_outage_of_hours_costs_no_receives(rig: Rig) -> None:
    await rig.change(VisibilityTimeout="1200")
    bodies = [f"m{i}" for i in range(20)]
    await rig.send(bodies)
    rig.handler.hold(*bodies)
    gate = ManualGate()
    async with rig.running(gate=gate):
        await until(lambda: len(rig.handler.running) == 20)
        gate.set(accepting=False)
        end = rig.clock.time() + 6 * HOURS
        await rig.pass_time(lambda: rig.clock.time() >= end, step=120)
        assert {stored.receive_count for stored in rig.server_queue.messages()} == {1}
        gate.set(accepting=True)
        rig.handler.free()
        await rig.pass_time(lambda: not rig.states)
    assert len(rig.handler.started) == 20


async def test_an_open_extension_does_not_undo_a_later_visibility_change(
    rig: Rig,
) -> None:
    await rig.send(["m"])
    rig.handler.hold("m")
    rig.handler.answers["m"] = Retry("not now", after=500.0)
    rig.server.faults.add(Fault(action="ChangeMessageVisibilityBatch", delay=4.0))
    async with rig.running() as poller:
        await until(lambda: rig.handler.running)
        rig.clock.advance(20)
        await until(lambda: rig.server.requests["ChangeMessageVisibilityBatch"] == 1)
        rig.handler.free()
        await rig.clock.until_asleep(
            5
        )  # the heartbeat, two timers of the retention and two answers
        rig.clock.advance(5)
        await until(lambda: poller.status.in_flight == 0)
        (stored,) = rig.server_queue.messages()
        assert stored.visible_at - rig.clock.time() > 490
