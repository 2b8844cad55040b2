"""`meta` and fields in another case reach the destination as the server would have read them."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from relay.envelope import Decoded, Rules, decode
from relay.envelope.fields import meta
from relay.envelope.opened_envelope import InvalidContent
from relay.model.event import Event
from relay.model.message import Message

PULLED = Callable[..., Message]


def one(message: Message, rules: Rules | None = None) -> Event:
    """The only event of a message that is decoded."""
    found = decode(message, rules or Rules())
    assert isinstance(found, Decoded), found
    (event,) = found.events
    return event


def accepts(**members: Any) -> bool:
    try:
        meta(json.dumps(members).encode())
    except InvalidContent:
        return False
    return True


def test_meta_is_sent_byte_for_byte(pulled: PULLED) -> None:
    text = rb'{ "sessions": {"n": 12345678901234567890, "f":1.50, "g":null,"\u00fc":"\/"} ,"x":1 }'
    event = one(pulled(b'{"name":"a","id":"1","meta":' + text + b',"data":{}}'))
    assert event.meta == text
    assert b'"meta":' + text + b"}" in event.wire
    assert json.loads(event.wire)["data"] == {}


def test_an_event_without_meta_is_sent_without(pulled: PULLED) -> None:
    assert b"meta" not in one(pulled(b'{"name":"a"}')).wire
    assert one(pulled(b'{"name":"a","meta":null}')).wire.endswith(b'"meta":null}')


def test_each_event_of_an_array_has_its_own_meta(pulled: PULLED) -> None:
    body = b'[{"name":"a","meta":{"sessions":{"s":"1"}}},{"name":"a"},{"name":"a","meta":{}}]'
    found = decode(pulled(body), Rules())
    assert isinstance(found, Decoded)
    assert [event.meta for event in found.events] == [b'{"sessions":{"s":"1"}}', None, b"{}"]


def test_meta_counts_for_the_size_of_an_event(pulled: PULLED) -> None:
    message = pulled(json.dumps({"name": "a", "meta": {"x": "y" * 500}}).encode())
    size = len(one(message).wire)
    assert one(message, Rules(max_event_bytes=size)).meta
    assert not isinstance(decode(message, Rules(max_event_bytes=size - 1)), Decoded)


FIVE = dict.fromkeys("abcde", "1")


@pytest.mark.parametrize(
    "members",
    [
        {},
        {"sessions": None},
        {"sessions": {}},
        {"sessions": FIVE},
        {"sessions": FIVE | {"f": None}},
        {"sessions": {"k" * 128: "i" * 512}},
        {"propagated_sessions": None},
        {"propagated_sessions": FIVE | {"f": "1"}},
        {"sessions": FIVE, "propagated_sessions": {"": ""}},
        {"sessions": {"": None}, "propagated_sessions": {"": ""}},
        {"sessions": {"b": "1"}, "propagated_sessions": {"b": ""}},
        {"sessions": None, "propagated_sessions": {"": ""}},
        {"sessions": {"z": "1"}, "propagated_sessions": dict.fromkeys("abcd", "1") | {"e": ""}},
    ],
)
def test_sessions_that_the_server_accepts_are_accepted(members: dict[str, Any]) -> None:
    assert accepts(**members)


def test_propagated_sessions_are_checked_where_they_are_used() -> None:
    assert not accepts(propagated_sessions={"a": ""})
    assert not accepts(sessions={"b": "1"}, propagated_sessions={"a": ""})
    assert not accepts(sessions={"z": "1"}, propagated_sessions={"a": "", "b": "1"})


def test_fields_in_another_case_are_the_events_own(pulled: PULLED) -> None:
    body = b'{"NAME":"a","Data":{"n": 1.0},"ID":"own","TS":1796000000999,"V":"2","USER":{"u":1}}'
    event = one(pulled(body))
    assert (event.name, event.id, event.ts, event.v) == ("a", "own", 1_796_000_000_999, "2")
    assert (event.data, event.user) == (b'{"n": 1.0}', b'{"u":1}')


@pytest.mark.parametrize("envelope", ["auto", "inngest"])
def test_a_name_in_another_case_makes_it_an_inngest_event(envelope: str, pulled: PULLED) -> None:
    assert one(pulled(b'{"Name":"a"}'), Rules(envelope=envelope)).name == "a"


def test_a_field_in_another_case_goes_through_the_checking_parser_too(pulled: PULLED) -> None:
    found = decode(pulled(b'{"Name":"a","Data":{"n":9007199254740993}}'), Rules())
    assert isinstance(found, Decoded)
    assert found.events[0].data == b'{"n":9007199254740993}'
    assert found.notices == ("big-integer", "field-case:Name", "field-case:Data")
