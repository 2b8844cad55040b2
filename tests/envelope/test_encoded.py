"""Bodies that `relay-origin` calls compressed, and that the relay did not compress."""

from __future__ import annotations

import base64
import gzip

import pytest

from relay.envelope import Decoded, Rules, decode
from relay.model.encoded_body import (
    COMPRESSED,
    UNPACKED_LIMIT,
    UnpackedTooLarge,
    decode_body,
    encoding_candidates,
)
from relay.model.message import Attribute, Message
from relay.model.origin import ATTRIBUTE, MAX_BYTES, MAX_PENDING, Origin, unpack
from relay.model.outcome import Reject
from tests.work import work_of

EVENT = b'{"name":"a","data":{}}'


def packed(body: bytes) -> bytes:
    return base64.b64encode(gzip.compress(body))


def redriven(body: bytes) -> Message:
    """A message with this body and an origin that says it is compressed."""
    origin = Origin(id="m", encoding=COMPRESSED).pack()
    attributes = {ATTRIBUTE: Attribute("String", origin)}
    return Message(body=body, message_id="m", queue="q", attributes=attributes)


def test_a_body_of_the_largest_size_is_unpacked_whatever_its_ratio() -> None:
    body = EVENT + b" " * (UNPACKED_LIMIT - len(EVENT))
    message = redriven(packed(body))
    assert len(message.body) < len(body) / 500
    assert isinstance(decode(message, Rules()), Decoded)


def test_what_the_relay_packs_can_be_unpacked() -> None:
    body = b"\x00" * UNPACKED_LIMIT
    assert [decode_body(text.encode(), name) for text, name in encoding_candidates(body, None)] == [
        body,
        body,
    ]


@pytest.mark.parametrize("size", [UNPACKED_LIMIT + 1, 50 * UNPACKED_LIMIT])
def test_a_body_that_unpacks_to_more_than_a_message_holds_is_rejected(size: int) -> None:
    found = decode(redriven(packed(EVENT + b" " * (size - len(EVENT)))), Rules())
    assert isinstance(found, Reject)
    assert found.code == "unpacked_too_large"
    assert found.reason == (
        "the compressed body unpacks to more than the 1048576 bytes that a message can have: the"
        " relay did not write it, so remove the attribute relay-origin or drop it"
    )


def test_no_more_than_the_limit_is_unpacked() -> None:
    body = packed(b" " * 64 * UNPACKED_LIMIT)

    def unpack() -> None:
        with pytest.raises(UnpackedTooLarge):
            decode_body(body, COMPRESSED)

    assert work_of(unpack).peak < 3 * UNPACKED_LIMIT


@pytest.mark.parametrize(
    "body",
    [
        base64.b64encode(gzip.compress(EVENT) * 2),
        base64.b64encode(gzip.compress(b"") * 10_000),
        base64.b64encode(gzip.compress(EVENT) + b"\0"),
        base64.b64encode(gzip.compress(EVENT) + b"garbage"),
        base64.b64encode(gzip.compress(EVENT)[:-1]),
        base64.b64encode(gzip.compress(EVENT)[:-8] + b"\0" * 8),
        base64.b64encode(b"not gzip"),
        base64.b64encode(b""),
        b"not base64",
    ],
    ids=[
        "two members",
        "many empty members",
        "a byte too many",
        "garbage behind it",
        "a byte too few",
        "a wrong checksum",
        "not gzip",
        "empty",
        "not base64",
    ],
)
def test_a_body_that_is_not_one_whole_gzip_member_is_rejected(body: bytes) -> None:
    found = decode(redriven(body), Rules())
    assert isinstance(found, Reject)
    assert found.code == "bad_origin"
    assert work_of(lambda: decode(redriven(body), Rules())).calls < 500


def test_an_origin_larger_than_any_of_ours_is_not_parsed() -> None:
    text = '{"version":1,"id":"a","reason":"%b"}'.replace("%b", "x" * MAX_BYTES)
    attributes = {ATTRIBUTE: Attribute("String", text)}
    sent = Message(body=EVENT, message_id="m", queue="q", attributes=attributes)
    found = decode(sent, Rules())
    assert isinstance(found, Reject)
    assert (found.code, found.reason) == (
        "bad_origin",
        "the attribute relay-origin is longer than 160000 bytes",
    )


def test_the_positions_of_as_many_events_as_a_message_can_have_are_read() -> None:
    origin = Origin(id="m", pending=tuple(range(MAX_PENDING)))
    assert unpack(origin.pack()).pending == origin.pending


def test_a_large_origin_is_not_kept_after_it_was_read() -> None:
    """A megabyte of positions is twenty when it is parsed, and the last few origins are cached."""

    def read() -> None:
        for number in range(8):
            origin = Origin(id=f"{number}", pending=tuple(range(1_000, 60_000))).pack()
            attributes = {ATTRIBUTE: Attribute("String", origin)}
            decode(Message(body=EVENT, message_id="m", queue="q", attributes=attributes), Rules())

    assert work_of(read).peak < 20_000_000
