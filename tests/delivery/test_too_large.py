"""A message that does not fit into the dead-letter queue with its reason is not lost."""

from __future__ import annotations

import gzip
import os
from base64 import b64decode
from typing import Any

import pytest

from relay.delivery.dead_letter_copy import (
    MAX_BYTES,
    DeadLetterCopy,
    NotStored,
    TooLarge,
    truncated_copy,
)
from relay.delivery.dead_letter_room import BUCKET_PAUSE, TOO_LARGE_FOR, TRY_AGAIN_AFTER
from relay.delivery.dead_lettering import LARGE, LARGE_AT_A_TIME
from relay.delivery.payloads import Pointer, parse_pointer, pointer_text
from relay.envelope import Rules, decode
from relay.model.encoded_body import stored_beginning
from relay.model.facts import DeadLettered, DeadLetterTooLarge
from relay.model.message import Attribute, Message
from relay.model.origin import ATTRIBUTE, Origin
from relay.model.outcome import Reject, Retry
from tests.delivery.handler_rig import DAY, NOW, HandlerRig, MemoryStore, event, message, origin

SMALL = 262_144
NOISE = os.urandom(200_000).hex().encode()
"""400 KB that are not JSON and do not fit into 256 KiB when compressed."""

SOON = NOW + 9.5 * DAY
"""Past nine tenths of the rig's retention."""


class SmallStore(MemoryStore):
    """A dead-letter queue with a limit, which refuses what is larger as SQS does."""

    def __init__(self, limit: int = SMALL) -> None:
        super().__init__()
        self.max_bytes = limit
        self.refuse_attributes = False

    async def limit(self) -> int:
        return self.max_bytes

    async def put(self, copy: DeadLetterCopy) -> None:
        if self.refuse_attributes and len(copy.attributes) > 1:
            raise NotStored("an attribute's name is invalid", refused=True)
        assert copy.size <= self.max_bytes
        await super().put(copy)


class Bodies:
    """A bucket in memory."""

    def __init__(self) -> None:
        self.kept: dict[str, bytes] = {}
        self.failure: NotStored | None = None

    def pointer(self, message: Message) -> str:
        return pointer_text(Pointer("bucket", message.message_id))

    async def put(self, message: Message) -> None:
        if self.failure is not None:
            raise self.failure
        self.kept[message.message_id] = message.body


class SmallRig(HandlerRig):
    """The handler with a small dead-letter queue."""

    def __init__(self, bodies: Bodies | None = None, limit: int = SMALL) -> None:
        self.small = SmallStore(limit)
        super().__init__(store=self.small, bodies=bodies)


def large(message_id: str = "m-1", **more: Any) -> Message:
    return message(NOISE, message_id, sent_at=NOW - 5, **more)


async def test_it_stays_in_the_queue_until_there_is_room() -> None:
    rig = SmallRig()
    outcome = await rig.handler.handle(large())
    assert isinstance(outcome, Retry)
    assert outcome.after == TRY_AGAIN_AFTER
    assert "not_json" in outcome.reason
    rig.small.max_bytes = MAX_BYTES  # an operator read the log
    assert isinstance(await rig.handler.handle(large(receive_count=2)), Reject)
    (copy,) = rig.small.copies
    assert copy.body.encode() == NOISE
    assert copy.kept == "unchanged"


async def test_what_waits_is_reported_until_it_is_kept() -> None:
    rig = SmallRig()
    await rig.handler.handle(large())
    (fact,) = [fact for fact in rig.facts if isinstance(fact, DeadLetterTooLarge)]
    assert "RELAY_DEAD_LETTER_BUCKET" in fact.reason
    assert (fact.code, fact.message.message_id) == ("not_json", "m-1")
    warning = rig.handler.status.warning
    assert warning is not None
    assert "1 message is too large" in warning
    assert "MaximumMessageSize" in warning
    assert rig.handler.status.problem is None
    rig.small.max_bytes = MAX_BYTES
    await rig.handler.handle(large(receive_count=2))
    assert rig.handler.status.warning is None


async def test_what_another_relay_keeps_is_no_longer_reported() -> None:
    rig = SmallRig()
    await rig.handler.handle(large())
    rig.now += TOO_LARGE_FOR
    assert rig.handler.status.warning is None


@pytest.mark.parametrize("good", [1, 2])
async def test_while_it_waits_its_good_events_are_not_sent_again(good: int) -> None:
    rig = SmallRig()
    body = [event(data={"x": NOISE.decode()}), *[event()] * (good - 1), {"name": ""}]
    for receive in range(1, 4):
        outcome = await rig.handler.handle(message(body, receive_count=receive))
        assert isinstance(outcome, Retry)
        assert outcome.after == TRY_AGAIN_AFTER
    assert rig.forwarder.sent == [f"m-1.{index}" for index in range(good)]


async def test_before_sqs_deletes_it_the_reason_and_the_beginning_are_kept() -> None:
    rig = SmallRig()
    rig.now = SOON
    outcome = await rig.handler.handle(large())
    assert isinstance(outcome, Reject)
    (copy,) = rig.small.copies
    past = origin(copy)
    assert (past.code, past.hops, past.encoding) == ("not_json", 1, "truncated+gzip+base64")
    kept = stored_beginning(copy.body.encode(), past.encoding)
    assert NOISE.startswith(kept)
    assert len(kept) > SMALL  # more than as text
    assert past.lost == (f"the body after the first {len(kept)} of its {len(NOISE)} bytes",)
    assert gzip.compress(NOISE, mtime=0).startswith(b64decode(copy.body))
    assert [fact.kept for fact in rig.facts if isinstance(fact, DeadLettered)] == ["truncated"]


async def test_the_relay_never_delivers_a_truncated_body() -> None:
    whole = b'{"name":"a/b","data":"' + NOISE + b'"}'
    copy = truncated_copy(message(whole), Origin(id="base", hops=1), SMALL)
    again = Message(
        body=copy.body.encode(), message_id="m-2", queue="main", attributes=copy.attributes
    )
    rejected = decode(again, Rules())
    assert isinstance(rejected, Reject)
    assert rejected.code == "body_truncated"
    rig = SmallRig()
    await rig.handler.handle(again)
    (kept,) = rig.small.copies
    assert kept.kept == "truncated"
    assert whole.startswith(stored_beginning(kept.body.encode(), origin(kept).encoding))


@pytest.mark.parametrize("limit", [1_024, 4_096, 65_536, SMALL])
@pytest.mark.parametrize(
    "body",
    [NOISE, os.urandom(1_000_000), "é😀".encode() * 150_000, b"{" * 1_048_576, b"\x00" + NOISE],
)
def test_as_much_is_kept_as_fits(body: bytes, limit: int) -> None:
    long = Origin(id="base", hops=1, code="not_json", reason="r" * 900, lost=("a" * 200,))
    attributes = {"a" * 250: Attribute("String", "x")}
    copy = truncated_copy(message(body, attributes=attributes), long, limit)
    assert copy.size <= limit
    past = origin(copy)
    kept = stored_beginning(copy.body.encode(), past.encoding)
    assert body.startswith(kept)
    assert len(kept) >= (limit - len(past.pack())) * 0.6 - 200


def test_a_truncated_body_is_not_mistaken_for_a_whole_one_when_it_is_cut_again() -> None:
    first = truncated_copy(message(NOISE), Origin(id="base"), SMALL)
    again = Message(
        body=first.body.encode(), message_id="m-2", queue="main", attributes=first.attributes
    )
    second = truncated_copy(again, origin(first), 65_536)
    kept = stored_beginning(second.body.encode(), origin(second).encoding)
    assert NOISE.startswith(kept)
    assert len(kept) > 65_536


def test_a_queue_without_room_for_the_reason_holds_nothing() -> None:
    with pytest.raises(TooLarge):
        truncated_copy(message(NOISE), Origin(id="x" * 200), 200)


async def test_with_a_bucket_the_whole_body_is_kept_there_at_once() -> None:
    bodies = Bodies()
    rig = SmallRig(bodies)
    attributes = {"tenant": Attribute("String", "t-1")}
    assert isinstance(await rig.handler.handle(large(attributes=attributes)), Reject)
    (copy,) = rig.small.copies
    assert parse_pointer(copy.body.encode()) == Pointer("bucket", "m-1")
    assert bodies.kept == {"m-1": NOISE}
    assert copy.attributes["tenant"] == attributes["tenant"]
    assert (origin(copy).lost, copy.kept) == ((), "in_s3")


@pytest.mark.parametrize("spare", [0, 1, 150])
async def test_a_body_of_the_maximum_has_no_room_for_its_reason(spare: int) -> None:
    noise = os.urandom(MAX_BYTES // 2).hex().encode()[: MAX_BYTES - spare]
    for bodies, kept in ((None, []), (Bodies(), ["in_s3"])):
        rig = SmallRig(bodies, MAX_BYTES // 2 + MAX_BYTES // 8)  # no room when compressed either
        await rig.handler.handle(message(noise, sent_at=NOW))
        assert [copy.kept for copy in rig.small.copies] == kept


async def test_a_bucket_that_fails_for_a_while_delays_the_dead_letter() -> None:
    bodies = Bodies()
    bodies.failure = NotStored("S3 is throttled")
    rig = SmallRig(bodies)
    assert await rig.handler.handle(large()) == Retry("S3 is throttled")
    rig.now = SOON
    assert isinstance(await rig.handler.handle(large(receive_count=2)), Reject)
    assert [copy.kept for copy in rig.small.copies] == ["truncated"]


async def test_a_bucket_that_a_person_has_to_fix_blocks_nothing_that_fits() -> None:
    bodies = Bodies()
    bodies.failure = NotStored("s3:PutObject is denied", setting="RELAY_DEAD_LETTER_BUCKET")
    rig = SmallRig(bodies)
    for number in range(LARGE_AT_A_TIME + 1):
        outcome = await rig.handler.handle(large(message_id=f"large-{number}"))
        assert isinstance(outcome, Retry)
        assert outcome.after == TRY_AGAIN_AFTER
    assert "PutObject is denied; check RELAY_DEAD_LETTER_BUCKET" in str(rig.handler.status.warning)
    fits = os.urandom(LARGE).hex().encode()
    assert isinstance(await rig.handler.handle(message(fits, "fits", sent_at=NOW)), Reject)
    bodies.failure = None
    rig.now += BUCKET_PAUSE
    assert isinstance(await rig.handler.handle(large(message_id="large-0")), Reject)
    assert [copy.kept for copy in rig.small.copies] == ["unchanged", "in_s3"]


async def test_a_failed_bucket_is_not_tried_for_every_message() -> None:
    bodies = Bodies()
    bodies.failure = NotStored("S3 gave no answer in 30 s")
    rig = SmallRig(bodies)
    await rig.handler.handle(large())
    bodies.failure = None
    assert isinstance(await rig.handler.handle(large(message_id="m-2")), Retry)
    rig.now += BUCKET_PAUSE
    assert isinstance(await rig.handler.handle(large(message_id="m-2", receive_count=2)), Reject)


async def test_attributes_are_kept_rather_than_a_plain_body() -> None:
    rig = SmallRig(limit=4_096)
    attributes = {"a": Attribute("String", "x" * 500)}
    await rig.handler.handle(message(b"x" * 3_500, attributes=attributes))
    (copy,) = rig.small.copies
    assert copy.attributes["a"] == attributes["a"]
    assert (origin(copy).encoding, copy.kept) == ("gzip+base64", "encoded")


async def test_what_sqs_refuses_for_another_reason_is_sent_in_its_plainest_form() -> None:
    rig = SmallRig()
    rig.small.refuse_attributes = True
    attributes = {"aws.reserved": Attribute("String", "x")}
    assert isinstance(await rig.handler.handle(message(b"hello", attributes=attributes)), Reject)
    (copy,) = rig.small.copies
    assert list(copy.attributes) == [ATTRIBUTE]
    assert origin(copy).lost == ("aws.reserved",)
    assert b64decode(copy.body) == b"hello"
