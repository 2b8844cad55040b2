"""Messages that are larger when they are open are counted, and opened one after another."""

from __future__ import annotations

import asyncio
import base64
import gzip
import json
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import pytest

from relay.delivery.in_flight import InFlightMessage
from relay.delivery.opening import (
    EVENT_BYTES,
    FEW,
    ROUND_BYTES,
    SMALL,
    STARTED_AT_ONCE,
    OpenBytes,
    Opening,
)
from relay.delivery.payloads import MAX_BYTES, POINTER_CLASSES, Payloads
from relay.envelope import Decoded, Rules, decode
from relay.model.encoded_body import UNPACKED_LIMIT
from relay.model.message import Attribute, Message
from relay.model.origin import ATTRIBUTE, LARGEST_CACHED
from relay.model.outcome import Delivered, Outcome, Reject, Retry
from tests.delivery.handler_rig import DAY, HandlerRig, event, message, origin, turns

MEGABYTE = 1_048_576


def large(message_id: str, size: int = MEGABYTE) -> Message:
    return message(event(data={"text": "x" * size}), message_id)


def array(message_id: str, count: int = 1_000) -> Message:
    return message([event()] * count, message_id)


def compressed(message_id: str, encoding: str = '"gzip+base64"', more: str = "") -> Message:
    body = json.dumps(event(data={"text": "x" * (UNPACKED_LIMIT - 100)})).encode()
    text = f'{{"version":1,"id":"{message_id}","encoding":{encoding}{more}}}'
    return message(
        base64.b64encode(gzip.compress(body)),
        message_id,
        attributes={ATTRIBUTE: Attribute("String", text)},
    )


def sns(message_id: str) -> Message:
    """An array of events whose braces are escaped in the notification around it."""
    inner = json.dumps(json.dumps([event()] * 1_000)).replace("{", "\\u007b")
    text = f'{{"Type":"Notification","TopicArn":"t","Message":{inner}}}'
    return message(text.encode(), message_id)


async def fetch(bucket: str, key: str, limit: int) -> bytes:
    return json.dumps(event(data={"text": "x" * MEGABYTE})).encode()


def pointing(message_id: str) -> Message:
    return message([POINTER_CLASSES[0], {"s3BucketName": "b", "s3Key": "k"}], message_id)


async def handled(
    rig: HandlerRig, messages: Sequence[Message], *, count: int = 400
) -> list[asyncio.Task[Outcome]]:
    tasks = [asyncio.create_task(rig.handler.handle(one)) for one in messages]
    await turns(count)
    return tasks


async def cancelled(tasks: Sequence[asyncio.Task[Any]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


@pytest.mark.parametrize(
    ("make", "open_at_a_time"),
    [
        (large, 3),
        (array, 1),
        (sns, 1),
        (compressed, 1),
        (lambda one: compressed(one, r'"gz\u0069p+base64"'), 1),
        (lambda one: compressed(one, more=',"' + "x" * LARGEST_CACHED + '":1'), 1),
        (pointing, 1),
    ],
)
async def test_open_messages_are_counted_with_what_they_become(
    make: Any, open_at_a_time: int
) -> None:
    """The destination answers nothing, so that everything that was opened stays open."""
    rig = HandlerRig(
        payloads=Payloads(fetch, buckets=frozenset({"b"})), size=3 * MEGABYTE + 100_000
    )
    rig.forwarder.silent = True
    tasks = await handled(rig, [make(f"m-{number}") for number in range(5)])
    sent = {one.partition(".")[0] for one in rig.forwarder.sent}
    assert len(sent) == open_at_a_time
    await cancelled(tasks)


async def test_messages_go_on_as_others_are_settled() -> None:
    rig = HandlerRig(size=MEGABYTE)
    tasks = await handled(rig, [large(f"m-{number}") for number in range(5)])
    assert [type(await task) for task in tasks] == [Delivered] * 5
    assert rig.forwarder.sent == [f"m-{number}" for number in range(5)]


async def test_a_small_message_waits_for_no_large_one() -> None:
    rig = HandlerRig({"m-1": None, "m-2": None}, size=MEGABYTE)
    tasks = await handled(rig, [large("m-1"), large("m-2")])
    assert isinstance(await rig.handler.handle(message([event()] * FEW, "m-3")), Delivered)
    await cancelled(tasks)


async def test_a_rejected_message_leaves_its_place_while_the_guard_holds_it() -> None:
    rig = HandlerRig(size=MEGABYTE)
    bad = [message({"data": {"text": "x" * MEGABYTE}}, f"bad-{number}") for number in range(40)]
    tasks = await handled(rig, bad, count=2_000)
    assert rig.handler.status.problem is not None
    assert isinstance(await rig.handler.handle(large("good")), Delivered)
    await cancelled(tasks)


async def test_a_message_that_waits_to_be_opened_still_expires() -> None:
    rig = HandlerRig({"m-1": None}, size=MEGABYTE)
    first = await handled(rig, [large("m-1")])
    (second,) = await handled(
        rig, [message(event(data={"t": "x" * MEGABYTE}), "m-2", sent_at=rig.now)]
    )
    rig.now += 9.5 * DAY
    rig.handler.expire()
    found = await second
    assert isinstance(found, Reject)
    assert found.code == "expiring"
    assert origin(rig.store.copies[0]).undecoded
    assert rig.forwarder.sent == ["m-1"]
    await cancelled(first)


async def test_a_message_that_leaves_the_line_takes_no_place() -> None:
    rig = HandlerRig({"m-1": None}, size=MEGABYTE)
    first, second, third = await handled(rig, [large(f"m-{number}") for number in (1, 2, 3)])
    await cancelled([second])
    assert rig.forwarder.sent == ["m-1"]
    await cancelled([first])
    assert isinstance(await third, Delivered)
    assert rig.forwarder.sent == ["m-1", "m-3"]


async def test_the_event_loop_turns_between_large_messages() -> None:
    """Otherwise a round of the loop takes as long as all of them together."""
    rounds: list[int] = []
    now = 0

    def decoding(one: Message) -> Decoded | Reject:
        rounds.append(now)
        return decode(one, Rules())

    opening = Opening(decoding)

    async def open_one(number: int) -> None:
        item = InFlightMessage(large(f"m-{number}", ROUND_BYTES), 0.0, asyncio.current_task())
        async with opening.opened(item) as found:
            assert isinstance(found, Decoded)

    tasks = [asyncio.create_task(open_one(number)) for number in range(20)]
    while not all(task.done() for task in tasks):
        await asyncio.sleep(0)
        now += 1
    assert len(rounds) == len(set(rounds)) == len(tasks)


async def test_bytes_are_granted_in_order_and_given_back() -> None:
    counted = OpenBytes(10)
    assert await counted.reserve(100)  # one is always allowed
    waiting = [asyncio.create_task(counted.reserve(size)) for size in (9, 1, 1)]
    await turns()
    assert not any(task.done() for task in waiting)
    counted.release(100)
    await turns()
    assert [task.done() for task in waiting] == [True, True, False]
    counted.release(9)
    await turns()
    assert waiting[2].done()
    counted.release(1)
    counted.release(1)
    assert counted.used == 0


async def test_everything_is_given_back_whatever_the_outcome() -> None:
    rig = HandlerRig(
        {"m-2": Retry("later"), "m-3": Reject("no", "never"), "m-5": None},
        payloads=Payloads(fetch, buckets=frozenset({"b"})),
        size=MAX_BYTES,
    )
    messages = [large(f"m-{number}") for number in (1, 2, 3)]
    messages += [message(b"{" * (SMALL + 1), "m-4"), large("m-5"), pointing("m-6"), array("m-7")]
    tasks = await handled(rig, messages, count=4_000)
    await cancelled([tasks[4]])
    await asyncio.gather(*tasks, return_exceptions=True)
    assert rig.opening.used == 0


def test_an_event_in_flight_is_counted_with_more_than_its_data() -> None:
    assert EVENT_BYTES * 5_000 > 10 * MEGABYTE


async def test_the_events_of_a_large_array_are_submitted_in_slices() -> None:
    rig = HandlerRig()
    rig.forwarder.silent = True
    count = 3 * STARTED_AT_ONCE
    task = asyncio.create_task(rig.handler.handle(array("m-1", count)))
    sent = [0]
    while sent[-1] < count:
        await asyncio.sleep(0)
        sent.append(len(rig.forwarder.sent))
    assert max(after - before for before, after in pairwise(sent)) <= STARTED_AT_ONCE
    await cancelled([task])


async def test_a_large_array_that_is_cancelled_between_slices_leaves_nothing_behind() -> None:
    rig = HandlerRig()
    rig.forwarder.silent = True
    task = asyncio.create_task(rig.handler.handle(array("m-1", 10 * STARTED_AT_ONCE)))
    await turns(5)
    assert 0 < len(rig.forwarder.sent) < 10 * STARTED_AT_ONCE
    await cancelled([task])
    await turns()
    assert rig.forwarder.withdrawn == rig.forwarder.sent
    assert rig.opening.used == 0
