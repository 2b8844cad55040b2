"""Decoding never fails for any bytes, and any JSON object is sent byte for byte."""

from __future__ import annotations

import json
import string
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from relay.envelope import KINDS, Decoded, Rules, decode
from relay.envelope.checking_parser import scan, scan_members
from relay.envelope.json_document import parse_document
from relay.envelope.opened_envelope import InvalidContent
from relay.model.message import Attribute, Message, PeriodicTask
from relay.model.origin import ATTRIBUTE, Origin
from relay.model.outcome import Reject

PULLED = Callable[..., Message]

blanks = st.text(" \t\r\n", max_size=2)
strings = st.one_of(
    st.text(max_size=8).map(lambda text: json.dumps(text, ensure_ascii=False)),
    st.text(max_size=8).map(json.dumps),
    st.sampled_from([r'"\/"', r'"\u003a"', r'":"', r'"\":"', r'"\ud83d\ude00"', r'"\\u003a"']),
)
numbers = st.one_of(
    st.integers().map(str),
    st.floats(allow_nan=False, allow_infinity=False).map(repr),
    st.sampled_from(["1.10", "-0", "1E5", "9007199254740993", "12345678901234567890", "0.10e-7"]),
)


def _array(items: list[tuple[str, str]]) -> str:
    return "[" + ",".join(f"{blank}{item}{blank}" for blank, item in items) + "]"


def _object(items: list[tuple[str, str, str]]) -> str:
    return "{" + ",".join(f"{b}{key}{b}:{b}{value}{b}" for b, key, value in items) + "}"


def objects(values: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return st.lists(st.tuples(blanks, strings, values), max_size=4).map(_object)


values = st.recursive(
    st.one_of(strings, numbers, st.sampled_from(["true", "false", "null"])),
    lambda inner: st.one_of(
        st.lists(st.tuples(blanks, inner), max_size=4).map(_array), objects(inner)
    ),
    max_leaves=12,
)
json_like = st.text(string.printable + "é😀\ud7ff", max_size=60).map(str.encode)
PIECES = (
    r"""{"name":"a", | "data": | { | } | [ | ] | : | , | " | \ | \ud800 | NaN | 1e999 | null | 1"""
    r""" | "Type":"Notification", | "TopicArn":1, | "Message":" | "Records": | 9999999999999999"""
    r""" | "specversion":"1.0", | "detail-type":"x" | "Event":"s3:TestEvent" | """
)
pieces = st.lists(st.sampled_from(PIECES.split(" | ")), max_size=14).map(
    lambda parts: "".join(parts).encode()
)
attribute_values = st.one_of(
    st.text(max_size=30).map(lambda value: Attribute("String", value)),
    st.binary(max_size=10).map(lambda value: Attribute("Binary", value)),
    st.builds(
        lambda **known: Attribute("String", Origin(**known).pack()),
        id=st.text(min_size=1, max_size=300),
        pending=st.none() | st.lists(st.integers(0, 5), max_size=4).map(tuple),
        generation=st.integers(0, 3),
        encoding=st.sampled_from([None, "base64", "gzip+base64", "empty", "x"]),
    ),
)
attributes = st.dictionaries(
    st.sampled_from([ATTRIBUTE, "Relay-Origin", "key", "traceparent"]) | st.text(max_size=5),
    attribute_values,
    max_size=4,
)
rules = st.builds(
    Rules,
    envelope=st.sampled_from(KINDS),
    id_attribute=st.sampled_from([None, "Key"]),
    id_path=st.sampled_from([None, "data.x", "sort(@)", "length(@)", "[0].id"]),
    fifo_dedup_id=st.booleans(),
    max_event_bytes=st.sampled_from([50, 3_145_728]),
)
tasks = st.none() | st.builds(PeriodicTask, st.text(max_size=5), st.text(max_size=5))


@settings(max_examples=300, deadline=None)
@given(
    body=st.one_of(st.binary(max_size=60), json_like, pieces, values.map(str.encode)),
    attributes=attributes,
    rules=rules,
    task=tasks,
    sent_at=st.none() | st.floats(),
)
def test_decode_never_raises(
    body: bytes,
    attributes: dict[str, Attribute],
    rules: Rules,
    task: PeriodicTask | None,
    sent_at: float | None,
    pulled: PULLED,
) -> None:
    message = pulled(body, attributes=attributes, task=task, sent_at=sent_at, dedup_id="d")
    found = decode(message, rules)
    assert found == decode(message, rules)
    if isinstance(found, Decoded):
        assert found.events or found.rejects or found.acknowledge_reason
        for event in found.events:
            json.loads(event.wire)
            event.id.encode()
    else:
        assert isinstance(found, Reject)


@settings(max_examples=200, deadline=None)
@given(data=objects(values), blank=blanks, array=st.booleans())
@example(data='{"a":1,"a":2}', blank=" ", array=True)
@example(data='{"":"\\ud800"}', blank="", array=False)
def test_any_object_is_sent_as_data_byte_for_byte(
    data: str, blank: str, *, array: bool, pulled: PULLED
) -> None:
    text = f'{blank}{{"name":"a",{blank}"data":{blank}{data}{blank},"id":"x"}}{blank}'
    found = decode(pulled((f"[{text}]" if array else text).encode()), Rules())
    assert isinstance(found, Decoded)
    assert found.events[0].data == data.encode()
    assert f'"data":{data}'.encode() in found.events[0].wire


@settings(max_examples=200, deadline=None)
@given(data=objects(values))
def test_any_object_is_sent_byte_for_byte_out_of_sns(data: str, pulled: PULLED) -> None:
    inner = f'{{"name":"a","data":{data}}}'
    for escaped in (True, False):
        outer = {"Type": "Notification", "TopicArn": "arn", "MessageId": "m", "Message": inner}
        body = json.dumps(outer, ensure_ascii=escaped).encode()
        found = decode(pulled(body), Rules())
        assert isinstance(found, Decoded)
        assert found.events[0].data == data.encode()


@settings(max_examples=300, deadline=None)
@given(text=st.one_of(objects(values), json_like.map(bytes.decode), pieces.map(bytes.decode)))
@example(text='{"a":1,"a":1,"b" :2}')
@example(text='{"a:":1,"a\\u003a":"::"}')
@example(text='{"a":[0.30000000000000004,-0.12345678901234567e-5],"b":"1234567890123456"}')
@example(text='{"a":-1234567890123456}')
@example(text='{"a":[1,12345678901234567890]}')
@example(text='{"a": 12345678901234567890.5}')
@example(text='{"a":0.1234567890123456e999}')
def test_the_fast_and_the_checking_parser_agree(text: str) -> None:
    def checking() -> Any:
        found = scan(text)
        if not isinstance(found.value, dict):
            return "not_an_object"
        return found.value, scan_members(text), found.notices, found.repeated

    def fast() -> Any:
        found = parse_document(text.encode())
        texts = {name: bytes(raw) for name, raw in found.members.items()}
        return found.value, texts, found.notices, found.repeated

    assert _answer(fast) == _answer(checking)


@settings(max_examples=300, deadline=None)
@given(text=st.one_of(objects(values), json_like.map(bytes.decode), pieces.map(bytes.decode)))
@example(text='{"a":{"k":1,"k":2},"a":1}')
@example(text='{"a\\u003a":1,"a:":{}}')
@example(text='{"a":[{}], "b" : "1e999" }')
@example(text='{"a":[1e999]}')
@example(text='{"a":{"b":-0.5E+0400 }}')
@example(text='{"a":[1e308],"b":1e-999}')
@example(text='{"a":[0.1234567890123456e999]}')
@example(text='{"a":[12345678901234567e300]}')
@example(text='{"a":[12345678901234567]}')
@example(text='{"a":"\\ud800"}')
@example(text='{"a":["\\ud800"]}')
@example(text='{"a":[01]}')
def test_a_large_and_a_small_object_are_read_alike(text: str) -> None:
    """Except that repeated keys are not noticed in what is nested in a large one."""

    def read(large: int) -> Any:
        found = parse_document(text.encode(), large)
        texts = {name: bytes(raw) for name, raw in found.members.items()}
        nested = {name: found.nested(name) for name in texts}
        assert found.complete() == nested
        return nested, texts, set(found.notices), found.repeated

    small, large = _answer(lambda: read(len(text) * 4 + 1)), _answer(lambda: read(0))
    if isinstance(small, str) or small[3]:
        assert large == small
    else:
        assert large[2] | {"duplicate-key"} == small[2] | {"duplicate-key"}
        assert (*large[:2], large[3]) == (*small[:2], small[3])


def _answer(read: Callable[[], Any]) -> Any:
    try:
        return read()
    except InvalidContent as error:
        return error.reject.code


@pytest.mark.parametrize("start", [b'"\\"', b"[", b'{"a":', b"[],", b'{"a":"' + b'\\"' * 9])
def test_decode_never_raises_for_a_large_message_of_nonsense(start: bytes, pulled: PULLED) -> None:
    body = start * (1_048_576 // len(start))
    assert isinstance(decode(pulled(body), Rules()), Reject)
