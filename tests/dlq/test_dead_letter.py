"""Dead letters: when they expire, what is in them, which id they have, and their shape."""

import json
from dataclasses import replace

import pytest

from relay.dlq.dead_letter import read_dead_letter
from relay.dlq.statistics import Expiry, expiry, shape
from relay.envelope import Rules
from relay.model.origin import Origin
from tests.dlq.queues import DAY, dead_letter, message

ARN = "arn:aws:sqs:us-east-1:0:main"


@pytest.mark.parametrize(
    ("source", "fifo", "expected"),
    [
        (ARN, False, Expiry(100 * DAY + 4 * DAY)),
        (ARN, True, Expiry(100 * DAY + 4 * DAY, exact=False)),
        (None, False, Expiry(100 * DAY + 4 * DAY)),
    ],
)
def test_retention_counts_from_the_enqueue_time(
    source: str | None, fifo: bool, expected: Expiry
) -> None:
    """A message of one day that SQS moved has three of four days left, the relay's copy four."""
    found = expiry(message(sent_at=100 * DAY, dead_letter_source=source), 4 * DAY, fifo=fifo)
    assert found == expected


def test_the_expiry_of_our_copy_does_not_depend_on_the_first_sending() -> None:
    origin = Origin(id="a", sent_at=1 * DAY, hops=1)
    copy = dead_letter(origin=origin, sent_at=10 * DAY)
    assert copy.first_sent_at == 1 * DAY
    assert expiry(copy.message, 4 * DAY, fifo=False) == Expiry(14 * DAY)


def test_events_in_s3_are_unknown_until_the_payload_is_read() -> None:
    pointer = json.dumps(
        ["software.amazon.payloadoffloading.PayloadS3Pointer", {"s3BucketName": "b", "s3Key": "k"}]
    )
    payload_unread = read_dead_letter(message(pointer), Rules())
    assert (payload_unread.payload_unread, payload_unread.events) == (True, ())
    opened = read_dead_letter(message(pointer), Rules(), None, b'{"name":"a","id":"mine"}')
    assert [event.id for event in opened.events] == ["mine"]
    assert opened.message.body.decode() == pointer
    assert not replace(opened).payload_unread


def test_an_undecoded_dead_letter_gets_the_id_of_its_content_once_it_can_be_decoded() -> None:
    origin = Origin(id="first", source="main", hops=1, code="wrong_envelope", undecoded=True)
    body = '{"detail-type":"order/placed","detail":{},"id":"eb-1","source":"shop"}'
    assert dead_letter(body, origin).base_id == "eb-1"
    assert dead_letter(origin=origin).base_id == "first"


def test_an_undecodable_dead_letter_is_marked_as_undecoded() -> None:
    unread, read = dead_letter('{"data":{}}').origin, dead_letter().origin
    assert unread is not None
    assert unread.undecoded
    assert read is not None
    assert not read.undecoded


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b'{"b":[1,2],"a":{"x":null}}', "{a:{x:null},b:[int]}"),
        (b'[{"a":1},{"a":"s"}]', "[{a:int}|{a:str}]"),
        (b" ", "empty"),
        (b"{", "text"),
        (b"\xff", "not UTF-8"),
        (b'{"name":"caf\xe9"}', "not UTF-8"),
    ],
)
def test_bodies_of_one_structure_have_one_shape(body: bytes, expected: str) -> None:
    assert shape(body) == expected
