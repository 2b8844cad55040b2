"""The handler never loses a message and never acknowledges one that must wait."""

from __future__ import annotations

import asyncio
import contextlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from relay.delivery.dead_letter_copy import NotStored
from relay.delivery.reject_guard import MIN_REJECTS
from relay.envelope import Decoded, Rules, decode
from relay.model.facts import Handled, Received
from relay.model.message import Attribute
from relay.model.outcome import Delivered, Reject, Retry
from tests.delivery.handler_rig import Answer, HandlerRig, event, message, origin, turns


async def test_a_delivered_event_may_be_acknowledged() -> None:
    rig = HandlerRig()
    assert await rig.handler.handle(message(event())) == Delivered("ref-m-1")
    assert isinstance(rig.facts[0], Received)
    settled = rig.facts[-1]
    assert isinstance(settled, Handled)
    assert [(e.id, o) for e, o in settled.results] == [("m-1", Delivered("ref-m-1"))]


async def test_a_message_is_retried_while_one_of_its_events_must_wait() -> None:
    rig = HandlerRig({"m-1.1": Retry("later", 7.0), "m-1.2": Reject("no", "never")})
    outcome = await rig.handler.handle(message([event(), event(), event()]))
    assert outcome == Retry("later", 7.0)
    assert rig.store.copies == []


@pytest.mark.parametrize("good", [0, 1, 2])
async def test_delivered_events_are_not_sent_again_because_the_dead_letter_of_another_waits(
    good: int,
) -> None:
    rig = HandlerRig()
    rig.store.failure = NotStored("throttled")
    array = [*(event() for _ in range(good)), {"data": {}}]
    assert isinstance(await rig.handler.handle(message(array)), Retry)
    sent = list(rig.forwarder.sent)
    assert len(sent) == good
    rig.store.failure = None
    assert isinstance(await rig.handler.handle(message(array, receive_count=2)), Reject)
    assert rig.forwarder.sent == sent
    assert origin(rig.store.copies[0]).pending == ((good,) if good else None)


async def test_delivered_events_of_a_retried_message_are_not_sent_again() -> None:
    rig = HandlerRig({"m-1.1": Retry("later"), "m-1.2": None})
    body = [event(), event(), event()]
    held = asyncio.create_task(rig.handler.handle(message(body)))
    await turns()
    held.cancel()
    await asyncio.gather(held, return_exceptions=True)
    rig.forwarder.answers = {"m-1.1": Retry("later")}
    assert isinstance(await rig.handler.handle(message(body, receive_count=2)), Retry)
    rig.forwarder.answers = {}
    outcome = await rig.handler.handle(message(body, receive_count=3))
    assert isinstance(outcome, Delivered)
    assert rig.forwarder.sent == ["m-1.0", "m-1.1", "m-1.2", "m-1.1", "m-1.2", "m-1.1"]
    settled = rig.facts[-1]
    assert isinstance(settled, Handled)
    again = [isinstance(one, Delivered) and one.duplicate for _, one in settled.results]
    assert again == [True, False, True]


async def test_only_the_rejected_events_of_a_dead_letter_are_pending() -> None:
    rig = HandlerRig({"m-1.1": Reject("no", "never")})
    body = [event(), event(), {"name": ""}, event()]
    outcome = await rig.handler.handle(message(body))
    assert isinstance(outcome, Reject)
    (copy,) = rig.store.copies
    assert json.loads(copy.body) == body
    assert origin(copy).pending == (1, 2)


async def test_two_deliveries_of_one_message_share_its_outcome() -> None:
    rig = HandlerRig({"m-1": None})
    first = asyncio.create_task(rig.handler.handle(message(event())))
    await turns()
    second = asyncio.create_task(rig.handler.handle(message(event(), receive_count=2)))
    await turns()
    assert rig.forwarder.sent == ["m-1"]
    first.cancel()
    await turns()
    assert rig.forwarder.withdrawn == []
    second.cancel()
    await turns()
    assert rig.forwarder.withdrawn == ["m-1"]
    assert rig.handler.status.in_flight == 0


async def test_a_delivery_right_after_the_last_caller_left_starts_again() -> None:
    rig = HandlerRig({"m-1": None})
    first = asyncio.create_task(rig.handler.handle(message(event())))
    await turns()
    first.cancel()
    await turns(1)
    rig.forwarder.answers.clear()
    assert isinstance(await rig.handler.handle(message(event())), Delivered)


async def test_the_guard_holds_a_flood_of_one_code() -> None:
    rig = HandlerRig()
    outcomes = [await rig.handler.handle(message(b"hello", f"m-{n}")) for n in range(100)]
    assert len(rig.store.copies) < MIN_REJECTS
    assert rig.handler.status.setting == "RELAY_ENVELOPE"
    assert rig.handler.status.in_flight == 0
    held = outcomes[-1]
    assert isinstance(held, Retry)
    assert "not_json: the body" in held.reason
    assert held.after is not None
    assert held.after > 100.0


async def test_an_event_that_the_destination_refuses_is_not_sent_again_while_it_is_held() -> None:
    rig = HandlerRig({f"m-{n}": Reject("refused_by_destination", "no") for n in range(60)})
    for receive in (1, 2, 3):
        for n in range(60):
            await rig.handler.handle(message(event(), f"m-{n}", receive_count=receive))
    assert len(rig.store.copies) == MIN_REJECTS - 1
    assert len(rig.forwarder.sent) == 60 + 1  # one is tried again, as a probe
    received = [fact for fact in rig.facts if isinstance(fact, Received)]
    assert len(received) == len([fact for fact in rig.facts if isinstance(fact, Handled)])


async def test_once_a_held_event_is_accepted_the_others_are_tried_again() -> None:
    rig = HandlerRig({f"m-{n}": Reject("refused_by_destination", "no") for n in range(60)})
    for n in range(60):
        await rig.handler.handle(message(event(), f"m-{n}"))
    rig.forwarder.answers.clear()
    held = range(MIN_REJECTS - 1, 60)
    outcomes = [await rig.handler.handle(message(event(), f"m-{n}")) for n in held]
    assert {type(outcome) for outcome in outcomes} == {Delivered}
    assert rig.handler.status.problem is None


async def test_an_s3_test_event_is_acknowledged() -> None:
    rig = HandlerRig()
    body = {"Service": "Amazon S3", "Event": "s3:TestEvent", "Bucket": "media"}
    assert isinstance(await rig.handler.handle(message(body)), Delivered)
    assert rig.forwarder.sent == []


answers = st.sampled_from(
    [Delivered("r"), Retry("later"), Retry("soon", 3.0), Reject("no", "never"), None]
)


@given(
    bodies=st.lists(st.lists(answers, min_size=1, max_size=4), min_size=1, max_size=5),
    failure=st.sampled_from([None, NotStored("throttled")]),
    cancelled=st.sets(st.integers(0, 4)),
)
def test_no_message_is_lost_for_any_script(
    bodies: list[list[Answer]], failure: NotStored | None, cancelled: set[int]
) -> None:
    asyncio.run(_script(bodies, failure, cancelled))


async def _script(
    bodies: list[list[Answer]], failure: NotStored | None, cancelled: set[int]
) -> None:
    answers: dict[str, Answer] = {
        f"m-{m}.{e}": answer for m, body in enumerate(bodies) for e, answer in enumerate(body)
    }
    rig = HandlerRig(answers)
    rig.store.failure = failure
    tasks = [
        asyncio.create_task(rig.handler.handle(message([event() for _ in body], f"m-{m}")))
        for m, body in enumerate(bodies)
    ]
    await turns(60)
    for number, task in enumerate(tasks):
        if number in cancelled or None in bodies[number]:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
    stored = {origin(copy).id: origin(copy).pending for copy in rig.store.copies}
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
            assert failure or any(isinstance(answer, Retry) for answer in body)
    await rig.dead_letters.drain()


def test_an_attribute_in_any_case_is_found() -> None:
    attribute = Attribute("String", "x")
    assert message({}, attributes={"Order-Id": attribute}).attribute("order-id") == attribute
    assert replace(message({}), attributes={}).attribute("order-id") is None


def test_decoded_is_what_decode_gives() -> None:
    assert isinstance(decode(message(event()), Rules()), Decoded)
