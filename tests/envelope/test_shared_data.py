"""The data of a large event exist once in memory: in the body of its message."""

from __future__ import annotations

import gc
import json
import tracemalloc
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.envelope import Decoded, Rules, decode
from relay.model.event import LARGE, Event, json_array
from relay.model.message import Message
from tests.work import work_of

BODY_BYTES = 100_000


def body(size: int) -> bytes:
    items = [{"sku": "A-1017", "quantity": 2, "price": 19.95, "tags": ["new", "sale"]}] * 10
    item = json.dumps(items).encode()
    return b'{"name":"a","data":{"items":[%b]}}' % b",".join([item] * (size // len(item)))


def decoded(message: Message) -> Decoded:
    found = decode(message, Rules())
    assert isinstance(found, Decoded)
    return found


def kept_by(call: Callable[[], object]) -> int:
    """The bytes that the result of the call keeps allocated."""
    call()
    gc.collect()
    tracemalloc.start()
    try:
        result = call()
        gc.collect()
        size, _ = tracemalloc.get_traced_memory()
        assert result is not None
        return size
    finally:
        tracemalloc.stop()


def test_decoding_a_large_event_keeps_no_copy_of_its_data() -> None:
    message = Message(body=body(BODY_BYTES), message_id="m", queue="q")
    assert kept_by(lambda: decoded(message)) < 4_000


def test_decoding_a_large_event_makes_no_objects_of_its_data() -> None:
    """Made objects take some ten times the body. The passes over the body need a copy at a time."""
    message = Message(body=body(BODY_BYTES), message_id="m", queue="q")
    assert work_of(lambda: decoded(message)).peak < 2 * BODY_BYTES


def test_the_size_of_a_large_event_is_found_without_a_copy() -> None:
    (event,) = decoded(Message(body=body(BODY_BYTES), message_id="m", queue="q")).events
    assert work_of(lambda: event.size).peak < 4_000


def test_a_batch_of_large_events_is_sent_without_copies() -> None:
    message = Message(body=body(BODY_BYTES), message_id="m", queue="q")
    events = decoded(message).events * 10
    assert work_of(lambda: json_array(events)).peak < 10_000


def test_an_event_outlives_no_message_but_its_own() -> None:
    """A view of one event of an array keeps that event's text alive, not the whole array."""
    whole = b"[%b]" % b",".join([body(BODY_BYTES)] * 10)

    def last() -> Event:
        return decoded(Message(body=whole, message_id="m", queue="q")).events[-1]

    assert kept_by(last) < 1.1 * BODY_BYTES


def test_the_data_of_a_small_event_do_not_keep_its_body_alive() -> None:
    (event,) = decoded(Message(body=body(1_000), message_id="m", queue="q")).events
    assert type(event.data) is bytes


@pytest.mark.parametrize("blank", [b"", b" \n"])
def test_the_same_bytes_are_sent_as_were_received(blank: bytes) -> None:
    text = body(BODY_BYTES)
    (event,) = decoded(Message(body=blank + text + blank, message_id="m", queue="q")).events
    data = text.partition(b'"data":')[2].removesuffix(b"}")
    assert event.data == data
    assert event.wire == b'{"id":"m","name":"a","data":%b}' % data


sizes = st.sampled_from([0, 10, LARGE - 12, LARGE - 2, LARGE - 1, LARGE, LARGE + 1, 5 * LARGE])
texts = st.text(max_size=5)


@st.composite
def events(draw: st.DrawFn) -> Event:
    data = b'{"x":"%b"}' % (b"x" * draw(sizes))
    return Event(
        id=draw(texts),
        name=draw(texts),
        data=draw(st.sampled_from([None, data, memoryview(data)])),
        ts=draw(st.none() | st.integers(1, 10**12)),
        v=draw(st.none() | texts),
        user=draw(st.sampled_from([None, b"{}", data])),
        meta=draw(st.sampled_from([None, b"null"])),
    )


@given(st.lists(events(), min_size=1, max_size=5))
def test_the_pieces_are_the_array_of_the_events(some: list[Event]) -> None:
    assert b"".join(json_array(some)) == b"[" + b",".join(event.wire for event in some) + b"]"
    assert [event.size for event in some] == [len(event.wire) for event in some]
