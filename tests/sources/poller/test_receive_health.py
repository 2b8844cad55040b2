"""Receiving while calls to the queue fail."""

from __future__ import annotations

import pytest

from relay.aws.errors import AwsError, Kind
from relay.local.sqs.faults import Fault
from relay.model.facts import Fact, ReceivingChanged
from relay.sources.poller.receive_gate import HALTED_PAUSE, ReceiveHealth
from tests.sources.poller.rig import Rig, until


@pytest.mark.parametrize(
    "fault",
    [
        Fault(action="ReceiveMessage", error="RequestThrottled", times=3),
        Fault(action="ReceiveMessage", error="ServiceUnavailable", status=503, times=3),
        Fault(action="ReceiveMessage", error="KmsThrottled", times=3),
        Fault(action="ReceiveMessage", error="ExpiredToken", times=3),
        Fault(action="ReceiveMessage", refuse=True, times=3),
    ],
)
async def test_transient_failures_are_waited_out_and_reported_at_their_start_and_end(
    rig: Rig, fault: Fault
) -> None:
    await rig.send(["m"])
    rig.server.faults.add(fault)
    async with rig.running():
        await rig.pass_time(lambda: not rig.states, step=0.2)
    states = [fact.state for fact in rig.facts if isinstance(fact, ReceivingChanged)]
    assert states == ["backing-off", "open"]


@pytest.mark.parametrize(
    ("code", "named"),
    [
        ("AccessDeniedException", "sqs:ReceiveMessage"),
        ("KmsAccessDenied", "kms:Decrypt"),
        ("QueueDoesNotExist", "main"),
    ],
)
async def test_a_failure_that_a_person_must_fix_halts_is_named_and_recovers_by_itself(
    rig: Rig, code: str, named: str
) -> None:
    await rig.send(["m"])
    rig.server.faults.add(Fault(action="ReceiveMessage", error=code, status=400, times=2))
    start = rig.clock.time()
    async with rig.running() as poller:
        await until(lambda: poller.status.state == "halted")
        assert named in poller.status.reason
        await rig.pass_time(lambda: not rig.states)
        assert poller.status.state == "open"
    assert rig.server.requests["ReceiveMessage"] <= 5
    assert rig.clock.time() - start >= 2 * 0.8 * HALTED_PAUSE


async def test_the_attributes_are_requested_until_the_queue_answers(rig: Rig) -> None:
    await rig.send(["m"])
    rig.server.faults.add(
        Fault(action="GetQueueAttributes", error="AccessDeniedException", status=400)
    )
    async with rig.running() as poller:
        await until(lambda: poller.status.state == "halted")
        assert "sqs:GetQueueAttributes" in poller.status.reason
        await rig.pass_time(lambda: not rig.states)


async def test_nothing_is_received_while_deletes_are_denied(rig: Rig) -> None:
    await rig.change(VisibilityTimeout="600")
    await rig.send(["first"])
    rig.server.faults.add(
        Fault(action="DeleteMessageBatch", error="AccessDeniedException", status=400, times=None)
    )
    async with rig.running() as poller:
        await until(lambda: poller.status.state == "halted")
        assert "sqs:DeleteMessage" in poller.status.reason
        await rig.send(["second"])
        rig.server.faults.clear()
        await rig.pass_time(lambda: not rig.states)
        await rig.pass_time(lambda: poller.status.state == "open")


async def test_a_lost_answer_of_a_fifo_queue_is_requested_again(fifo: Rig) -> None:
    await fifo.send(["a", "b", "c"], group="g")
    fifo.server.faults.add(Fault(action="ReceiveMessage", drop=True))
    start = fifo.clock.time()
    async with fifo.running():
        await fifo.pass_time(lambda: not fifo.states, step=0.2)
        assert fifo.clock.time() - start < 15  # received again at once, not after a lease has ended
    assert fifo.handler.started == ["a", "b", "c"]


async def test_a_lost_answer_of_a_standard_queue_delays_and_loses_nothing(rig: Rig) -> None:
    await rig.send(["a", "b", "c"])
    rig.server.faults.add(Fault(action="ReceiveMessage", drop=True))
    async with rig.running():
        await rig.pass_time(lambda: not rig.states)
    assert sorted(rig.handler.started) == ["a", "b", "c"]


def test_a_change_is_reported_once_with_the_length_of_the_last_state() -> None:
    facts: list[Fact] = []
    time = [100.0]
    receive_health = ReceiveHealth(observe=facts.append, clock=lambda: time[0])
    throttled = AwsError("RequestThrottled", "throttled", "AWS throttles us")
    denied = AwsError("AccessDenied", "denied", "grant sqs:DeleteMessage")
    for error in (throttled, throttled):
        receive_health.failed("receive", error)
    time[0] = 110.0
    receive_health.failed("delete", denied)
    time[0] = 130.0
    receive_health.succeeded("receive")
    receive_health.succeeded("delete")
    assert [(f.state, f.seconds) for f in facts if isinstance(f, ReceivingChanged)] == [
        ("backing-off", 0.0),
        ("halted", 10.0),
        ("open", 20.0),
    ]


def test_a_transient_failure_of_a_call_that_is_not_repeated_ends_with_another_success() -> None:
    facts: list[Fact] = []
    time = [100.0]
    receive_health = ReceiveHealth(observe=facts.append, clock=lambda: time[0])
    receive_health.failed(
        "change visibility", AwsError("IncompleteResponse", "connection", "no answer")
    )
    receive_health.succeeded("receive")
    assert receive_health.state == "backing-off", "its pause is not over yet"
    time[0] = 200.0
    receive_health.succeeded("receive")
    assert receive_health.state == "open"
    assert [fact.state for fact in facts if isinstance(fact, ReceivingChanged)] == [
        "backing-off",
        "open",
    ]


def test_a_failure_that_a_person_must_fix_lasts_until_the_same_call_succeeds() -> None:
    time = [100.0]
    receive_health = ReceiveHealth(clock=lambda: time[0])
    receive_health.failed("delete", AwsError("AccessDenied", "denied", "grant sqs:DeleteMessage"))
    time[0] = 200.0
    receive_health.succeeded("receive")
    assert receive_health.state == "halted"
    receive_health.succeeded("delete")
    assert receive_health.state == "open"


@pytest.mark.parametrize("kind", ["denied", "throttled"])
async def test_no_pause_is_longer_than_the_retention_of_the_queue_allows(kind: Kind) -> None:
    time, slept = [100.0], list[float]()

    async def sleep(seconds: float) -> None:
        slept.append(seconds)
        time[0] += seconds

    receive_health = ReceiveHealth(longest_pause=lambda: 3.0, clock=lambda: time[0], sleep=sleep)
    for _ in range(20):
        receive_health.failed("receive", AwsError("Code", kind, "no"))
    await receive_health.wait_clear()
    assert sum(slept) == pytest.approx(3.0)
