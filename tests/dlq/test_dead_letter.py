"""Letters: when they expire, what is in them, and which id they go by."""

import json
from dataclasses import replace

import pytest

from relay.dlq.dead_letter import read_dead_letter
from relay.dlq.statistics import Expiry, expiry
from relay.envelope import Rules
from relay.model.origin import Origin
from tests.dlq.letters import DAY, dead_letter, message

ARN = "arn:aws:sqs:us-east-1:0:main"


@pytest.mark.parametrize(
    ("source", "fifo", "expected"),
    [
        (ARN, False, Expiry(100 * DAY + 4 * DAY)),
        (ARN, True, Expiry(100 * DAY + 4 * DAY, exact=False)),
        (None, False, Expiry(100 * DAY + 4 * DAY)),
    ],
)
def test_a_letter_expires_counted_from_its_enqueue_time(
    source: str | None, fifo: bool, expected: Expiry
) -> None:
    """What waited a day in the source queue has three of four days left; the relay's copy four."""
    found = expiry(message(sent_at=100 * DAY, dead_letter_source=source), 4 * DAY, fifo=fifo)
    assert found == expected


def test_the_first_sending_says_nothing_about_when_our_copy_expires() -> None:
    origin = Origin(id="a", sent_at=1 * DAY, hops=1)
    copy = dead_letter(origin=origin, sent_at=10 * DAY)
    assert copy.first_sent_at == 1 * DAY
    assert expiry(copy.message, 4 * DAY, fifo=False) == Expiry(14 * DAY)


def test_a_letter_that_points_into_s3_is_sealed_until_its_payload_is_read() -> None:
    pointer = json.dumps(
        ["software.amazon.payloadoffloading.PayloadS3Pointer", {"s3BucketName": "b", "s3Key": "k"}]
    )
    payload_unread = read_dead_letter(message(pointer), Rules())
    assert (payload_unread.payload_unread, payload_unread.events) == (True, ())
    opened = read_dead_letter(message(pointer), Rules(), None, b'{"name":"a","id":"mine"}')
    assert [event.id for event in opened.events] == ["mine"]
    assert opened.message.body.decode() == pointer
    assert not replace(opened).payload_unread


def test_a_letter_that_died_unread_goes_by_the_id_of_what_is_in_it() -> None:
    origin = Origin(id="first", source="main", hops=1, code="wrong_envelope", undecoded=True)
    body = '{"detail-type":"order/placed","detail":{},"id":"eb-1","source":"shop"}'
    assert dead_letter(body, origin).base_id == "eb-1"
    assert dead_letter(origin=origin).base_id == "first"


def test_a_letter_that_nobody_can_read_is_asked_for_its_id_when_it_comes_back() -> None:
    unread, read = dead_letter('{"data":{}}').origin, dead_letter().origin
    assert unread is not None
    assert unread.undecoded
    assert read is not None
    assert not read.undecoded
