"""The path of a message: what it must never do is lose one, or acknowledge one that must wait."""

from __future__ import annotations

import asyncio
import contextlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from relay.dead_letter_queue import REMEMBERED_FOR, STANDS_FOR, DeadLetterQueue, NotStored
from relay.envelope import Decoded, Rules, decode
from relay.facts import DeadLettered, Received, Settled
from relay.guard import ENOUGH, RejectGuard
from relay.handler import Handler
from relay.message import (
    Attribute,
    Delivered,
    PeriodicTask,
    Reject,
    Retry,
)
from relay.origin import ATTRIBUTE, Origin
from tests.handler.bench import (
    NOW,
    Answer,
    Bench,
    Shelf,
    event,
    message,
    origin,
    turns,
)


async def test_a_delivered_event_may_be_acknowledged() -> None:
    bench = Bench()
    assert await bench.handler.handle(message(event())) == Delivered("ref-m-1")
    assert isinstance(bench.facts[0], Received)
    settled = bench.facts[-1]
    assert isinstance(settled, Settled)
    assert [(e.id, o) for e, o in settled.results] == [("m-1", Delivered("ref-m-1"))]


async def test_poison_is_dead_lettered_at_its_first_delivery_with_its_reason() -> None:
    bench = Bench()
    outcome = await bench.handler.handle(message(b"hello", sent_at=NOW - 5))
    assert isinstance(outcome, Reject)
    (copy,) = bench.shelf.copies
    assert copy.body == "hello"
    past = origin(copy)
    assert (past.id, past.code, past.hops, past.source) == ("m-1", "not_json", 1, "main")
    assert past.sent_at == NOW - 5
    assert past.reason
    assert any(isinstance(fact, DeadLettered) for fact in bench.facts)


async def test_a_redelivery_of_a_dead_letter_is_only_acknowledged() -> None:
    bench = Bench()
    await bench.handler.handle(message(b"hello"))
    again = await bench.handler.handle(message(b"hello", receive_count=2))
    assert isinstance(again, Reject)
    assert len(bench.shelf.copies) == 1
    bench.now += REMEMBERED_FOR
    await bench.handler.handle(message(b"hello", receive_count=3))
    assert len(bench.shelf.copies) == 2


async def test_while_one_event_must_wait_the_message_stays() -> None:
    bench = Bench({"m-1.1": Retry("later", 7.0), "m-1.2": Reject("no", "never")})
    outcome = await bench.handler.handle(message([event(), event(), event()]))
    assert outcome == Retry("later", 7.0)
    assert bench.shelf.copies == []


async def test_what_was_accepted_of_a_message_that_stays_is_not_sent_again() -> None:
    bench = Bench({"m-1.1": Retry("later"), "m-1.2": None})
    body = [event(), event(), event()]
    held = asyncio.create_task(bench.handler.handle(message(body)))
    await turns()
    held.cancel()
    await asyncio.gather(held, return_exceptions=True)
    bench.script.answers = {"m-1.1": Retry("later")}
    assert isinstance(await bench.handler.handle(message(body, receive_count=2)), Retry)
    bench.script.answers = {}
    outcome = await bench.handler.handle(message(body, receive_count=3))
    assert isinstance(outcome, Delivered)
    assert bench.script.sent == ["m-1.0", "m-1.1", "m-1.2", "m-1.1", "m-1.2", "m-1.1"]
    settled = bench.facts[-1]
    assert isinstance(settled, Settled)
    again = [isinstance(one, Delivered) and one.duplicate for _, one in settled.results]
    assert again == [True, False, True]


async def test_when_none_waits_only_the_rejected_events_are_pending() -> None:
    bench = Bench({"m-1.1": Reject("no", "never")})
    body = [event(), event(), {"name": ""}, event()]
    outcome = await bench.handler.handle(message(body))
    assert isinstance(outcome, Reject)
    (copy,) = bench.shelf.copies
    assert json.loads(copy.body) == body
    assert origin(copy).pending == (1, 2)


async def test_a_redriven_array_sends_only_what_was_pending_under_the_same_ids() -> None:
    bench = Bench({"m-1.1": Reject("no", "never")})
    await bench.handler.handle(message([event(), event(), event()]))
    copy = bench.shelf.copies[0]
    bench.script.answers.clear()
    bench.script.sent.clear()
    redriven = message(copy.body.encode(), "m-other", attributes=dict(copy.attributes))
    assert isinstance(await bench.handler.handle(redriven), Delivered)
    assert bench.script.sent == ["m-1.1"]


async def test_a_second_rejection_adds_a_hop_and_keeps_the_first_id() -> None:
    bench = Bench()
    await bench.handler.handle(message(b"hello", sent_at=NOW - 9))
    first = bench.shelf.copies[0]
    again = message(first.body.encode(), "m-2", attributes=dict(first.attributes))
    await bench.handler.handle(again)
    past = origin(bench.shelf.copies[1])
    assert (past.id, past.hops, past.sent_at, past.source) == ("m-1", 2, NOW - 9, "main")


async def test_what_died_unread_is_asked_for_its_own_id_when_it_comes_back() -> None:
    bench = Bench()
    wrong = Handler(
        lambda m: decode(m, Rules(envelope="sns")),
        bench.script,
        bench.dead_letters,
        guard=RejectGuard(),
    )
    body = {"detail-type": "order/placed", "detail": {}, "id": "eb-1", "source": "shop"}
    await wrong.handle(message(body))
    (copy,) = bench.shelf.copies
    again = message(copy.body.encode(), "m-2", attributes=copy.attributes)
    assert isinstance(await bench.handler.handle(again), Delivered)
    assert bench.script.sent == ["eb-1"]


async def test_what_died_unread_and_has_no_own_id_keeps_its_first_one() -> None:
    bench = Bench({"m-1": Reject("no", "never")})
    await bench.dead_letters.put(
        message(event()), Origin(id="m-1", hops=1, undecoded=True), Reject("odd", "odd")
    )
    again = message(event(), "m-2", attributes=bench.shelf.copies[0].attributes)
    await bench.handler.handle(again)
    assert bench.script.sent == ["m-1"]
    past = origin(bench.shelf.copies[1])
    assert (past.id, past.hops, past.undecoded) == ("m-1", 2, False)


async def test_a_dead_lettered_periodic_task_is_the_same_task_when_redriven() -> None:
    bench = Bench({"main:nightly@2026-01-02T00:00:00Z": Reject("no", "never")})
    task = PeriodicTask("nightly", "2026-01-02T00:00:00Z")
    await bench.handler.handle(message(b"", task=task))
    (copy,) = bench.shelf.copies
    bench.script.answers.clear()
    redriven = message(copy.body.encode(), "m-2", attributes=dict(copy.attributes))
    assert isinstance(await bench.handler.handle(redriven), Delivered)
    assert len(set(bench.script.sent)) == 1


async def test_a_damaged_past_is_named_and_may_have_run() -> None:
    bench = Bench()
    broken = message(event(), attributes={ATTRIBUTE: Attribute("String", "{}")})
    outcome = await bench.handler.handle(broken)
    assert isinstance(outcome, Reject)
    past = origin(bench.shelf.copies[0])
    assert (past.code, past.may_have_run, past.lost) == ("bad_origin", True, (ATTRIBUTE,))


async def test_two_deliveries_of_one_message_share_its_outcome() -> None:
    bench = Bench({"m-1": None})
    first = asyncio.create_task(bench.handler.handle(message(event())))
    await turns()
    second = asyncio.create_task(bench.handler.handle(message(event(), receive_count=2)))
    await turns()
    assert bench.script.sent == ["m-1"]
    first.cancel()
    await turns()
    assert bench.script.withdrawn == []
    second.cancel()
    await turns()
    assert bench.script.withdrawn == ["m-1"]
    assert bench.handler.status.in_hand == 0


async def test_a_delivery_right_after_the_last_one_left_starts_anew() -> None:
    bench = Bench({"m-1": None})
    first = asyncio.create_task(bench.handler.handle(message(event())))
    await turns()
    first.cancel()
    await turns(1)
    bench.script.answers.clear()
    assert isinstance(await bench.handler.handle(message(event())), Delivered)


async def test_a_copy_on_its_way_is_remembered_although_nobody_waits_any_more() -> None:
    bench = Bench()
    task = asyncio.create_task(bench.handler.handle(message(b"hello")))
    await bench.shelf.started.wait()
    task.cancel()
    await bench.dead_letters.drain()
    await turns()
    assert len(bench.shelf.copies) == 1
    assert isinstance(await bench.handler.handle(message(b"hello")), Reject)
    assert len(bench.shelf.copies) == 1


async def test_a_stop_waits_no_longer_than_it_may_for_a_queue_that_does_not_answer() -> None:
    bench = Bench()
    bench.shelf.silent = asyncio.Event()
    task = asyncio.create_task(bench.handler.handle(message(b"hello")))
    await bench.shelf.started.wait()
    await bench.dead_letters.drain(0.01)
    assert not task.done()
    bench.shelf.silent.set()
    assert isinstance(await task, Reject)


async def test_a_passing_trouble_of_the_dead_letter_queue_makes_the_message_wait() -> None:
    bench = Bench()
    bench.shelf.trouble = NotStored("SQS throttles")
    assert await bench.handler.handle(message(b"hello")) == Retry("SQS throttles")
    assert bench.handler.status.problem is None


async def test_a_missing_permission_halts_what_would_die_until_it_is_there() -> None:
    bench = Bench()
    bench.shelf.trouble = NotStored("sqs:SendMessage is denied", setting="RELAY_DLQ_URL")
    task = asyncio.create_task(bench.handler.handle(message(b"hello")))
    await turns()
    assert not task.done()
    assert bench.handler.status.problem == "sqs:SendMessage is denied"
    assert bench.handler.status.setting == "RELAY_DLQ_URL"
    assert isinstance(await bench.handler.handle(message(event(), "m-2")), Delivered)
    bench.shelf.trouble = None
    bench.woken.set()
    assert isinstance(await task, Reject)
    assert bench.handler.status.problem is None


async def test_a_halt_of_which_nothing_was_heard_for_long_is_over() -> None:
    bench = Bench()
    bench.shelf.trouble = NotStored("sqs:SendMessage is denied", setting="RELAY_DLQ_URL")
    task = asyncio.create_task(bench.handler.handle(message(b"hello")))
    await turns()
    task.cancel()  # another relay gets the message, once the permission is there
    await asyncio.gather(task, return_exceptions=True)
    bench.now += STANDS_FOR - 1
    assert bench.handler.status.setting == "RELAY_DLQ_URL"
    bench.now += 2
    assert bench.handler.status.problem is None
    assert bench.handler.status.setting is None


async def test_what_sqs_cannot_hold_with_its_reason_is_left_to_its_own_redrive() -> None:
    bench = Bench()
    letters: list[int] = []

    class Small(Shelf):
        async def limit(self) -> int:
            letters.append(1)
            return 300

    handler = Handler(
        lambda m: decode(m, Rules()),
        bench.script,
        DeadLetterQueue(Small()),
        guard=RejectGuard(),
    )
    noise = bytes(range(33, 127)) * 20
    outcome = await handler.handle(message(noise))
    assert isinstance(outcome, Retry)
    assert "not_json" in outcome.reason
    assert letters


@pytest.mark.parametrize(("receives", "doubtful"), [(1, False), (2, True)])
async def test_what_is_refused_for_a_setting_may_have_been_sent_under_another_one(
    receives: int, doubtful: bool
) -> None:
    bench = Bench()
    handler = Handler(
        lambda m: decode(m, Rules(envelope="sns")),
        bench.script,
        bench.dead_letters,
        guard=RejectGuard(),
    )
    await handler.handle(message(event(), receive_count=receives))
    past = origin(bench.shelf.copies[0])
    assert (past.code, past.may_have_run) == ("wrong_envelope", doubtful)


@pytest.mark.parametrize(("receives", "doubtful"), [(1, False), (2, True)])
async def test_an_event_that_is_refused_for_a_setting_may_have_been_sent_under_another_one(
    receives: int, doubtful: bool
) -> None:
    bench = Bench()
    handler = Handler(
        lambda m: decode(m, Rules(max_event_bytes=1_024)),
        bench.script,
        bench.dead_letters,
        guard=RejectGuard(),
    )
    body = [event(), event(data={"text": "x" * 2_000})]
    await handler.handle(message(body, receive_count=receives))
    past = origin(bench.shelf.copies[0])
    assert (past.code, past.pending, past.may_have_run) == ("event_too_large", (1,), doubtful)


async def test_the_guard_holds_a_flood_of_one_code() -> None:
    bench = Bench()
    tasks = [
        asyncio.create_task(bench.handler.handle(message(b"hello", f"m-{n}"))) for n in range(100)
    ]
    await turns(400)
    assert len(bench.shelf.copies) < ENOUGH
    assert bench.handler.status.setting == "RELAY_ENVELOPE"
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def test_an_s3_test_event_is_acknowledged_and_noticed() -> None:
    bench = Bench()
    body = {"Service": "Amazon S3", "Event": "s3:TestEvent", "Bucket": "media"}
    assert isinstance(await bench.handler.handle(message(body)), Delivered)
    assert bench.script.sent == []


answers = st.sampled_from(
    [Delivered("r"), Retry("later"), Retry("soon", 3.0), Reject("no", "never"), None]
)


@given(
    bodies=st.lists(st.lists(answers, min_size=1, max_size=4), min_size=1, max_size=5),
    trouble=st.sampled_from([None, NotStored("throttled")]),
    cancelled=st.sets(st.integers(0, 4)),
)
def test_no_message_is_lost_for_any_script(
    bodies: list[list[Answer]], trouble: NotStored | None, cancelled: set[int]
) -> None:
    asyncio.run(_script(bodies, trouble, cancelled))


async def _script(
    bodies: list[list[Answer]], trouble: NotStored | None, cancelled: set[int]
) -> None:
    answers: dict[str, Answer] = {
        f"m-{m}.{e}": answer for m, body in enumerate(bodies) for e, answer in enumerate(body)
    }
    bench = Bench(answers)
    bench.shelf.trouble = trouble
    tasks = [
        asyncio.create_task(bench.handler.handle(message([event() for _ in body], f"m-{m}")))
        for m, body in enumerate(bodies)
    ]
    await turns(60)
    for number, task in enumerate(tasks):
        if number in cancelled or None in bodies[number]:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
    stored = {origin(copy).id: origin(copy).pending for copy in bench.shelf.copies}
    for number, (task, body) in enumerate(zip(tasks, bodies, strict=True)):
        if task.cancelled():
            continue
        outcome = task.result()
        rejected = [e for e, answer in enumerate(body) if isinstance(answer, Reject)]
        if isinstance(outcome, Delivered):
            assert all(isinstance(answer, Delivered) for answer in body)
        elif isinstance(outcome, Reject):
            expected = None if len(body) == 1 else tuple(rejected)
            assert not any(isinstance(answer, Retry) for answer in body)
            assert stored[f"m-{number}"] in (expected, tuple(rejected))
        else:
            assert trouble or any(isinstance(answer, Retry) for answer in body)
    await bench.dead_letters.drain()


def test_an_attribute_in_any_case_is_found() -> None:
    attribute = Attribute("String", "x")
    assert message({}, attributes={"Order-Id": attribute}).attribute("order-id") == attribute
    assert replace(message({}), attributes={}).attribute("order-id") is None


def test_decoded_is_what_decode_gives() -> None:
    assert isinstance(decode(message(event()), Rules()), Decoded)
