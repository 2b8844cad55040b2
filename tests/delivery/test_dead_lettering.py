"""Dead-lettering: once, with its reason, and without losing the message."""

from __future__ import annotations

import asyncio

import pytest

from relay.delivery.dead_letter_copy import NotStored
from relay.delivery.dead_letter_room import TRY_AGAIN_AFTER
from relay.delivery.dead_lettering import (
    LARGE,
    LARGE_AT_A_TIME,
    MOST_WAITING,
    PROBLEM_EXPIRES_AFTER,
    REMEMBERED_FOR,
    DeadLettering,
)
from relay.delivery.handler import Handler
from relay.delivery.opening import Opening
from relay.delivery.reject_guard import RejectGuard
from relay.envelope import Rules, decode
from relay.model.facts import DeadLettered
from relay.model.outcome import Delivered, Reject, Retry
from tests.delivery.handler_rig import NOW, HandlerRig, MemoryStore, event, message, origin, turns


async def test_poison_is_dead_lettered_at_its_first_delivery_with_its_reason() -> None:
    rig = HandlerRig()
    outcome = await rig.handler.handle(message(b"hello", sent_at=NOW - 5))
    assert isinstance(outcome, Reject)
    (copy,) = rig.store.copies
    assert copy.body == "hello"
    past = origin(copy)
    assert (past.id, past.code, past.hops, past.source) == ("m-1", "not_json", 1, "main")
    assert past.sent_at == NOW - 5
    assert past.reason
    assert any(isinstance(fact, DeadLettered) for fact in rig.facts)


async def test_a_redelivery_of_a_dead_letter_is_only_acknowledged() -> None:
    rig = HandlerRig()
    await rig.handler.handle(message(b"hello"))
    again = await rig.handler.handle(message(b"hello", receive_count=2))
    assert isinstance(again, Reject)
    assert len(rig.store.copies) == 1
    rig.now += REMEMBERED_FOR
    await rig.handler.handle(message(b"hello", receive_count=3))
    assert len(rig.store.copies) == 2


async def test_a_copy_is_remembered_although_its_caller_has_left() -> None:
    rig = HandlerRig()
    task = asyncio.create_task(rig.handler.handle(message(b"hello")))
    await rig.store.started.wait()
    task.cancel()
    await rig.dead_letters.drain()
    await turns()
    assert len(rig.store.copies) == 1
    assert isinstance(await rig.handler.handle(message(b"hello")), Reject)
    assert len(rig.store.copies) == 1


async def test_a_stop_waits_for_a_limited_time_for_a_queue_that_does_not_answer() -> None:
    rig = HandlerRig()
    rig.store.unanswered = asyncio.Event()
    task = asyncio.create_task(rig.handler.handle(message(b"hello")))
    await rig.store.started.wait()
    await rig.dead_letters.drain(0.01)
    assert not task.done()
    rig.store.unanswered.set()
    assert isinstance(await task, Reject)


async def test_a_transient_failure_of_the_dead_letter_queue_retries_the_message() -> None:
    rig = HandlerRig()
    rig.store.failure = NotStored("SQS throttles")
    assert await rig.handler.handle(message(b"hello")) == Retry("SQS throttles")
    assert rig.handler.status.problem is None


async def test_a_missing_permission_halts_dead_lettering_until_it_is_granted() -> None:
    rig = HandlerRig()
    rig.store.failure = NotStored("sqs:SendMessage is denied", setting="RELAY_DLQ_URL")
    task = asyncio.create_task(rig.handler.handle(message(b"hello")))
    await turns()
    assert not task.done()
    assert rig.handler.status.problem == "sqs:SendMessage is denied"
    assert rig.handler.status.setting == "RELAY_DLQ_URL"
    assert isinstance(await rig.handler.handle(message(event(), "m-2")), Delivered)
    rig.store.failure = None
    rig.woken.set()
    assert isinstance(await task, Reject)
    assert rig.handler.status.problem is None


async def test_messages_that_cannot_be_dead_lettered_leave_room_for_good_ones() -> None:
    rig = HandlerRig(guard=False)
    rig.store.failure = NotStored("sqs:SendMessage is denied", setting="RELAY_DLQ_URL")
    large = [message(b"x" * LARGE, f"large-{n}") for n in range(LARGE_AT_A_TIME + 1)]
    small = [message(b"x", f"small-{n}") for n in range(2 * MOST_WAITING)]
    tasks = [asyncio.create_task(rig.handler.handle(one)) for one in (*large, *small)]
    await turns(60)
    again = [task.result() for task in tasks if task.done()]
    assert again == [Retry("sqs:SendMessage is denied", TRY_AGAIN_AFTER)] * (
        len(tasks) - MOST_WAITING
    )
    assert all(task.done() for task in tasks[: len(large)])
    assert rig.handler.status.problem == "sqs:SendMessage is denied"
    rig.store.failure = None
    for _ in range(2):  # the second one waits already when the first one has succeeded
        rig.woken.set()
        await turns()
    ends = [task.result() for task in tasks]
    assert sum(isinstance(end, Reject) for end in ends) == MOST_WAITING


async def test_a_halt_ends_when_its_problem_has_not_recurred_for_long() -> None:
    rig = HandlerRig()
    rig.store.failure = NotStored("sqs:SendMessage is denied", setting="RELAY_DLQ_URL")
    task = asyncio.create_task(rig.handler.handle(message(b"hello")))
    await turns()
    task.cancel()  # another relay receives the message once the permission is granted
    await asyncio.gather(task, return_exceptions=True)
    rig.now += PROBLEM_EXPIRES_AFTER - 1
    assert rig.handler.status.setting == "RELAY_DLQ_URL"
    rig.now += 2
    assert rig.handler.status.problem is None
    assert rig.handler.status.setting is None


async def test_a_message_that_does_not_fit_with_its_reason_is_left_to_sqs() -> None:
    rig = HandlerRig()
    limits: list[int] = []

    class Small(MemoryStore):
        async def limit(self) -> int:
            limits.append(1)
            return 300

    handler = Handler(
        Opening(lambda m: decode(m, Rules())),
        rig.forwarder,
        DeadLettering(Small()),
        guard=RejectGuard(),
    )
    noise = bytes(range(33, 127)) * 20
    outcome = await handler.handle(message(noise))
    assert isinstance(outcome, Retry)
    assert "not_json" in outcome.reason
    assert limits


@pytest.mark.parametrize(("receives", "doubtful"), [(1, False), (2, True)])
async def test_a_message_rejected_because_of_a_setting_may_have_run_under_another_one(
    receives: int, doubtful: bool
) -> None:
    rig = HandlerRig()
    handler = Handler(
        Opening(lambda m: decode(m, Rules(envelope="sns"))),
        rig.forwarder,
        rig.dead_letters,
        guard=RejectGuard(),
    )
    await handler.handle(message(event(), receive_count=receives))
    past = origin(rig.store.copies[0])
    assert (past.code, past.may_have_run) == ("wrong_envelope", doubtful)


@pytest.mark.parametrize(("receives", "doubtful"), [(1, False), (2, True)])
async def test_an_event_rejected_because_of_a_setting_may_have_run_under_another_one(
    receives: int, doubtful: bool
) -> None:
    rig = HandlerRig()
    handler = Handler(
        Opening(lambda m: decode(m, Rules(max_event_bytes=1_024))),
        rig.forwarder,
        rig.dead_letters,
        guard=RejectGuard(),
    )
    body = [event(), event(data={"text": "x" * 2_000})]
    await handler.handle(message(body, receive_count=receives))
    past = origin(rig.store.copies[0])
    assert (past.code, past.pending, past.may_have_run) == ("event_too_large", (1,), doubtful)


async def test_few_large_copies_are_in_memory_at_a_time_and_small_ones_wait_for_none() -> None:
    rig = HandlerRig(guard=False)
    rig.store.unanswered = asyncio.Event()
    large = [message(b"{" * LARGE, f"m-{number}") for number in range(3 * LARGE_AT_A_TIME)]
    tasks = [asyncio.create_task(rig.handler.handle(one)) for one in (*large, message(b"{", "m"))]
    await turns(400)
    assert rig.store.waiting == LARGE_AT_A_TIME + 1
    rig.store.unanswered.set()
    assert [type(one) for one in await asyncio.gather(*tasks)] == [Reject] * len(tasks)
    assert len(rig.store.copies) == len(tasks)
