"""The copy of a message: complete if SQS can hold it, and encoded or reduced if not."""

from __future__ import annotations

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.delivery.dead_letter_copy import MAX_BYTES, TooLarge, dead_letter_copy
from relay.model.encoded_body import decode_body
from relay.model.message import Attribute, Message
from relay.model.origin import ATTRIBUTE, Origin, UnreadableOrigin, origin_of, unpack

ORIGIN = Origin(id="base", hops=1, source="main", code="not_json", reason="the body is not JSON")


def message(body: bytes = b"{}", **more: object) -> Message:
    return Message(body=body, message_id="m-1", queue="main", **more)  # type: ignore[arg-type]


def test_keeps_body_attributes_trace_and_tenant() -> None:
    attributes = {"a": Attribute("String", "1"), "b": Attribute("Binary.png", b"\x00\xff")}
    copy = dead_letter_copy(
        message(b'{"x": 1.10}', attributes=attributes, trace_header="Root=1", group_id="tenant"),
        ORIGIN,
    )
    assert copy.body == '{"x": 1.10}'
    assert {k: v for k, v in copy.attributes.items() if k != ATTRIBUTE} == attributes
    assert (copy.trace_header, copy.group_id) == ("Root=1", "tenant")
    assert copy.complete
    assert unpack(copy.attributes[ATTRIBUTE].value) == ORIGIN


def test_replaces_the_message_origin_whatever_the_case_of_its_name() -> None:
    before = {ATTRIBUTE.upper(): Attribute("String", "{}")}
    copy = dead_letter_copy(message(attributes=before), ORIGIN)
    assert list(copy.attributes) == [ATTRIBUTE]
    assert copy.complete


def test_lists_the_attribute_that_does_not_fit() -> None:
    attributes = {f"a{n}": Attribute("String", "x" * (n + 1)) for n in range(10)}
    copy = dead_letter_copy(message(attributes=attributes), ORIGIN)
    assert len(copy.attributes) == 10
    assert unpack(copy.attributes[ATTRIBUTE].value).lost == ("a9",)
    assert not copy.complete


@pytest.mark.parametrize(
    ("body", "encoding"),
    [
        (b"", "empty"),
        (b"\xff\xfe", "base64"),
        (b"a\x00b", "base64"),
        (b" " * MAX_BYTES, "gzip+base64"),
    ],
)
def test_a_body_that_sqs_cannot_hold_is_encoded(body: bytes, encoding: str) -> None:
    copy = dead_letter_copy(message(body), ORIGIN)
    assert unpack(copy.attributes[ATTRIBUTE].value).encoding == encoding
    assert decode_body(copy.body.encode(), encoding) == body


def test_an_encoded_body_that_is_rejected_again_is_not_encoded_twice() -> None:
    first = dead_letter_copy(message(b"\xff"), ORIGIN)
    again = message(first.body.encode(), attributes=first.attributes)
    origin = origin_of(again)
    assert origin is not None
    second = dead_letter_copy(again, origin)
    assert decode_body(second.body.encode(), origin.encoding) == b"\xff"


def test_a_full_message_that_does_not_compress_is_too_large() -> None:
    noise = os.urandom(MAX_BYTES // 2).hex().encode()
    with pytest.raises(TooLarge):
        dead_letter_copy(message(noise * 2), ORIGIN, max_bytes=1_000)


def test_on_a_fifo_queue_it_keeps_the_group_and_deduplicates_only_itself() -> None:
    first = dead_letter_copy(message(group_id="g", dedup_id="producer's"), ORIGIN)
    same = dead_letter_copy(message(group_id="g"), ORIGIN)
    later = dead_letter_copy(message(group_id="g"), Origin(id="base", hops=2))
    assert first.group_id == "g"
    assert first.dedup_id == same.dedup_id != later.dedup_id
    assert first.dedup_id != "producer's"


@given(st.binary(max_size=300))
def test_every_body_can_be_restored(body: bytes) -> None:
    copy = dead_letter_copy(message(body), ORIGIN)
    encoding = unpack(copy.attributes[ATTRIBUTE].value).encoding
    assert decode_body(copy.body.encode(), encoding) == body


@given(
    st.builds(
        Origin,
        id=st.text(min_size=1, max_size=20),
        pending=st.none() | st.lists(st.integers(0, 99), max_size=5).map(tuple),
        hops=st.integers(0, 9),
        sent_at=st.none() | st.floats(0, 4e9),
        source=st.none() | st.text(min_size=1, max_size=9),
        code=st.none() | st.text(min_size=1, max_size=9),
        reason=st.none() | st.text(min_size=1, max_size=99),
        generation=st.integers(0, 3),
        may_have_run=st.booleans(),
        lost=st.lists(st.text(max_size=9), max_size=3).map(tuple),
    )
)
def test_the_packed_attribute_survives_an_http_header(origin: Origin) -> None:
    packed = origin.pack()
    assert packed.isascii()
    assert packed.isprintable()
    assert unpack(packed.encode("latin-1")) == origin


@given(st.text(max_size=60) | st.binary(max_size=60))
def test_a_foreign_attribute_of_this_name_is_refused(value: str | bytes) -> None:
    with pytest.raises(UnreadableOrigin, match=ATTRIBUTE):
        unpack(value)


@pytest.mark.parametrize(
    "field",
    [
        '"id":3',
        '"id":"a","pending":[-1]',
        '"id":"a","hops":true',
        '"id":"a","lost":"b"',
        '"hops":1',
    ],
)
def test_an_impossible_field_is_refused(field: str) -> None:
    with pytest.raises(UnreadableOrigin):
        unpack('{"version":1,' + field + "}")
