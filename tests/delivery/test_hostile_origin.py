"""Whatever a producer writes into the origin's attribute is read, and the message dead-lettered."""

from __future__ import annotations

import contextlib
import json
import random
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from relay.delivery.dead_letter_copy import dead_letter_copy
from relay.dlq.dead_letter import read_dead_letter
from relay.envelope import Rules, decode
from relay.envelope.ids import bounded_id
from relay.model.message import Attribute, Message
from relay.model.origin import (
    ATTRIBUTE,
    MAX_BYTES,
    MAX_COUNT,
    Origin,
    UnreadableOrigin,
    origin_or_substitute,
    unpack,
)
from relay.model.outcome import Reject
from relay.output.times import format_time
from tests.delivery.handler_rig import HandlerRig, origin

DIGITS = sys.get_int_max_str_digits()
SMALLEST_QUEUE = 262_144
"""Bytes: a queue that was created before August 2025."""

numbers = (
    st.integers()
    | st.floats(allow_nan=True, allow_infinity=True)
    | st.sampled_from([10**18, -1, 10**308, 10 ** (DIGITS - 1), 9 * 10**11])
)
texts = st.text(max_size=40) | st.sampled_from(["", "\ud800", "\x00\x1b[31m", "é" * 3_000])
values = st.recursive(
    st.none() | st.booleans() | numbers | texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=8,
)
fields = st.sampled_from(list(Origin.__dataclass_fields__))
origins = st.dictionaries(fields, values, max_size=6).map(
    lambda given: {"version": 1, "id": "base", **given}
)


def hostile() -> Iterator[tuple[str, str]]:
    """Texts by name that have broken something, here or elsewhere."""

    def packed(**more: Any) -> str:
        return json.dumps({"version": 1, "id": "base", **more})

    number = '{"version":1,"id":"base","hops":%s}'
    yield "a number that Python refuses to read", number % ("9" * (DIGITS + 1))
    yield "a number whose successor Python refuses to write", number % ("9" * DIGITS)
    yield "a number of 300 digits", number % ("9" * 300)
    yield "an exponent", number % "1e999"
    yield "not a number", number % "NaN"
    yield "a negative number", number % "-1"
    yield "a boolean", number % "true"
    yield "a large generation", packed(generation=10**300)
    yield "deep nesting", packed()[:-1] + ',"x":' + "[" * 20_000 + "]" * 20_000 + "}"
    yield "deep objects", '{"version":1,"id":' * 5_000
    yield "a long id", packed(id="x" * 700_000)
    yield "a lone surrogate as the id", '{"version":1,"id":"\\ud800"}'
    yield "many pending positions", packed(pending=list(range(100_000)))
    yield "a pending position beyond every message", packed(pending=[10**300])
    yield "the same pending position many times", packed(pending=[0] * 200_000)
    yield "a negative pending position", packed(pending=[-1])
    yield (
        "a long source, code and reason",
        packed(source="s" * 90_000, code="c" * 90_000, reason="r" * 90_000),
    )
    yield "much that was lost", packed(lost=["\U0001f600" * 900] * 200)
    yield "a long task", packed(task=["\U0001f600" * 90_000, "t" * 90_000])
    yield "a time of no calendar", packed(sent_at=9e11)
    yield "a time before every calendar", packed(sent_at=-9e11)
    yield "an unknown encoding", packed(encoding="rot13" * 9_000)
    yield "a list", "[]"
    yield "nothing", " "


HOSTILE = dict(hostile())


def carrying(value: str | bytes, body: bytes = b'{"name":"a/b"}') -> Message:
    kind = "String" if isinstance(value, str) else "Binary"
    return Message(
        body=body, message_id="m-1", queue="main", attributes={ATTRIBUTE: Attribute(kind, value)}
    )


@pytest.mark.parametrize("name", HOSTILE)
async def test_a_message_with_a_hostile_origin_is_dead_lettered(name: str) -> None:
    rig = HandlerRig()
    outcome = await rig.handler.handle(carrying(HOSTILE[name], b"not JSON"))
    assert isinstance(outcome, Reject)
    (copy,) = rig.store.copies
    assert origin(copy).hops >= 1
    assert len(str(copy.attributes[ATTRIBUTE].value)) <= MAX_BYTES


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_origin_fits_into_the_smallest_queue(name: str) -> None:
    message = carrying(HOSTILE[name], b"not JSON")
    past = origin_or_substitute(message)
    assert past is not None
    copy = dead_letter_copy(message, past, max_bytes=SMALLEST_QUEUE)
    assert len(str(copy.attributes[ATTRIBUTE].value)) <= MAX_BYTES
    unpack(copy.attributes[ATTRIBUTE].value)


@pytest.mark.parametrize("name", HOSTILE)
def test_relay_dlq_reads_a_hostile_origin(name: str) -> None:
    dead_letter = read_dead_letter(carrying(HOSTILE[name]), Rules())
    assert format_time(dead_letter.first_sent_at)
    assert dead_letter.reason


@given(origins)
@settings(max_examples=300)
def test_every_object_is_read_and_can_be_written_back(given: dict[str, Any]) -> None:
    message = carrying(json.dumps(given))
    found = origin_or_substitute(message)
    assert found is not None
    again = unpack(found.pack())
    assert unpack(again.pack()) == again
    assert len(again.pack()) <= MAX_BYTES
    assert "\n".join(filter(None, (again.id, again.code, again.reason, again.source))).encode()
    decode(message, Rules())
    read_dead_letter(message, Rules())


@pytest.mark.parametrize("seed", range(40))
def test_damaged_origins_are_read_or_refused(seed: int) -> None:
    chance = random.Random(seed)
    packed = bytearray(
        Origin(id="base", pending=(1, 2), hops=3, sent_at=1.5, lost=("a",)).pack(), "ascii"
    )
    for _ in range(chance.randint(1, 6)):
        at = chance.randrange(len(packed))
        packed[at : at + chance.randint(0, 3)] = chance.randbytes(chance.randint(0, 3))
    with contextlib.suppress(UnreadableOrigin):
        unpack(bytes(packed))
    decode(carrying(bytes(packed)), Rules())


def test_hops_saturate() -> None:
    assert unpack(Origin(id="a", hops=MAX_COUNT + 1).pack()).hops == MAX_COUNT
    assert unpack('{"version":1,"id":"a","hops":%s}' % ("9" * 300)).hops == MAX_COUNT


@given(st.text(min_size=1, max_size=40).map(lambda text: text * 20))
def test_a_long_id_is_the_one_that_its_events_get(long: str) -> None:
    assert unpack(json.dumps({"version": 1, "id": long})).id == bounded_id(long)
