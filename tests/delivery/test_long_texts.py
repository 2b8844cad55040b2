"""What producers and servers write is cut where it becomes a reason or a code."""

from __future__ import annotations

import asyncio
import json
import tracemalloc
from collections.abc import Callable

import pytest

from relay.aws.errors import AwsError, error_from_response
from relay.delivery.dead_letter_copy import NotStored
from relay.delivery.payloads import POINTER_CLASSES, NotFetched, Payloads
from relay.delivery.reject_guard import MIN_REJECTS
from relay.envelope import Rules, decode
from relay.envelope.opened_envelope import InvalidContent
from relay.model.destination import BatchRefused, Unavailable
from relay.model.message import Attribute
from relay.model.origin import ATTRIBUTE, Origin, unpack
from relay.model.outcome import (
    MAX_CODE,
    MAX_REASON,
    Reject,
    Retry,
    combined_reject,
    shortened,
)
from relay.sources.sqsd_request import NotFromSqsd
from tests.delivery.handler_rig import HandlerRig, event, message, origin, turns

LONG = "x" * 900_000
HALF = LONG[:150_000]  # a longer origin is not read
CUT = "x" * (MAX_REASON - 1) + "…"


def test_a_text_is_cut_only_if_it_is_too_long() -> None:
    assert shortened("abc", 3) == "abc"
    assert shortened("abcd", 3) == "ab…"
    assert shortened("", 1) == ""


@pytest.mark.parametrize(
    "made",
    [
        lambda: Reject("code", LONG).reason,
        lambda: Retry(LONG).reason,
        lambda: Unavailable(LONG).reason,
        lambda: str(Unavailable(LONG)),
        lambda: BatchRefused(LONG).reason,
        lambda: NotStored(LONG).reason,
        lambda: NotFetched(LONG).reason,
        lambda: NotFromSqsd("code", LONG).reason,
        lambda: AwsError("code", "other", LONG).sentence,
        lambda: InvalidContent("code", LONG).reject.reason,
        lambda: unpack(json.dumps({"version": 1, "id": "m", "reason": HALF})).reason,
        lambda: json.loads(Origin(id="m", reason=LONG).pack())["reason"],
    ],
)
def test_a_reason_is_cut(made: Callable[[], str]) -> None:
    assert made() == CUT


@pytest.mark.parametrize(
    "made",
    [
        lambda: Reject(LONG, "reason").code,
        lambda: error_from_response(LONG, LONG, 400, "sqs:SendMessage", "queue").code,
        lambda: unpack(json.dumps({"version": 1, "id": "m", "code": HALF})).code,
    ],
)
def test_a_code_is_cut(made: Callable[[], str]) -> None:
    assert made() == "x" * (MAX_CODE - 1) + "…"


def test_the_number_of_further_events_is_not_cut_off() -> None:
    combined = combined_reject({0: Reject("code", LONG), 1: Reject("code", "short")})
    assert len(combined.reason) == MAX_REASON
    assert combined.reason.endswith("… (and 1 more of its events)")


def test_no_reason_of_decoding_quotes_much_of_a_message() -> None:
    bodies = [
        event(name=LONG),
        event(id=[LONG]),
        event(ts=int("1" * 200)),
        {"name": "a", LONG: 1},
        {"specversion": "1.0", LONG: 1},
        {"Type": "Notification", "Message": 1, "TopicArn": LONG},
    ]
    origins = [
        {"version": 1, "id": "m", "encoding": LONG},
        {"version": 1, "id": "m", LONG: 1},
        {"version": 1, "id": "m", "pending": [int("9" * 4_000)]},
    ]
    found = [decode(message(body), Rules()) for body in bodies]
    for one in origins:
        attributes = {ATTRIBUTE: Attribute("String", json.dumps(one))}
        found.append(decode(message(event(), attributes=attributes), Rules()))
    reasons = [one.reason for one in found if isinstance(one, Reject)]
    assert len(reasons) > len(bodies) // 2
    assert max(map(len, reasons)) < 300


def pointing(number: int) -> bytes:
    fields = {"s3BucketName": LONG, "s3Key": "k"}
    return json.dumps([POINTER_CLASSES[0], fields]).encode()


async def unread(bucket: str, key: str, limit: int) -> bytes:
    raise AssertionError(bucket, key, limit)


@pytest.mark.parametrize("guard", [True, False])
async def test_the_reasons_of_600_rejects_take_little_memory(*, guard: bool) -> None:
    rig = HandlerRig(guard=guard, payloads=Payloads(unread))
    body = pointing(0)
    store = rig.store
    tracemalloc.start()
    handling = [
        asyncio.create_task(rig.handler.handle(message(body, f"m-{number}")))
        for number in range(600)
    ]
    while len(store.copies) < (MIN_REJECTS - 1 if guard else 600):
        await turns()
        store.copies[:] = store.copies[:1] * len(store.copies)  # the queue has them, not the relay
    kept = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    status = str(rig.handler.status)
    for one in handling:
        one.cancel()
    await asyncio.gather(*handling, return_exceptions=True)
    assert kept < 10_000_000
    assert len(status) < 2 * MAX_REASON
    assert ("would be rejected" in status) is guard
    assert len(store.copies) == (MIN_REJECTS - 1 if guard else 600)
    assert len(origin(store.copies[0]).reason or "") == MAX_REASON


async def test_a_remembered_reject_keeps_its_code_and_not_its_reason() -> None:
    rig = HandlerRig()
    sent = message(b"{")
    first = await rig.handler.handle(sent)
    again = await rig.handler.handle(sent)
    assert isinstance(first, Reject)
    assert again == Reject(first.code, "it was dead-lettered a short time ago")
    assert len(rig.store.copies) == 1
