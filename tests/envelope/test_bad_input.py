"""Invalid input is rejected with a code and a sentence; unusual input gets a notice."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from relay.envelope import Decoded, Rules, decode
from relay.model.message import Attribute, Message, PeriodicTask
from relay.model.outcome import Reject

AUTO = Rules()
PULLED = Callable[..., Message]


def event(**fields: Any) -> bytes:
    return json.dumps({"name": "a", **fields}).encode()


def cloud(**fields: Any) -> bytes:
    whole = {"specversion": "1.0", "type": "t", "source": "s", "id": "i", **fields}
    return json.dumps({k: v for k, v in whole.items() if v is not None}).encode()


def sns(message: str | int, **fields: Any) -> bytes:
    whole = {"Type": "Notification", "MessageId": "m", "TopicArn": "arn", "Message": message}
    return json.dumps({**whole, **fields}).encode()


def nested(levels: int) -> bytes:
    """An event of so many levels, its own object the first."""
    inner = b"[" * (levels - 2) + b"]" * (levels - 2)
    return b'{"name":"a","data":{"x":' + inner + b"}}"


REJECTED: list[tuple[str, bytes]] = [
    ("empty_body", b""),
    ("empty_body", b" \r\n\t"),
    ("byte_order_mark", b"\xef\xbb\xbf" + event()),
    ("byte_order_mark", event().decode().encode("utf-16")),
    ("invalid_utf8", b'{"name":"a","data":{"x":"\xff"}}'),
    ("invalid_utf8", b'{"name":"a","data":{"x":"\xed\xa0\x80"}}'),
    ("not_json", b"hello"),
    ("not_json", b'{"name":"a"'),
    ("not_json", b'{"name":"a"} trailing'),
    ("not_json", b"{'name':'a'}"),
    ("not_json", b'{"name":"a","data":{"x":01}}'),
    ("not_json", b'{"name":"a","data":{"x":"\x01"}}'),
    ("not_json", b'{"name":"a","data":{"x":"\\x"}}'),
    ("not_json", b'[{"name":"a"},]'),
    ("not_json", b'[{"name":"a"},{"name":b}]'),
    ("not_json", b"[" * 100),
    ("not_an_object", b"17"),
    ("not_an_object", b'"text"'),
    ("not_an_object", b"null"),
    ("not_an_object", b"true"),
    ("too_deep", nested(101)),
    ("too_deep", b"[" * 200_000),
    ("too_deep", b'{"a":' * 50_000),
    ("too_deep", sns(nested(101).decode())),
    ("not_finite", b'{"name":"a","data":{"x":NaN}}'),
    ("not_finite", b'{"name":"a","data":{"x":[-Infinity]}}'),
    ("not_finite", b'{"name":"a","ts":Infinity}'),
    ("number_too_large", b'{"name":"a","data":{"x":1e400}}'),
    ("number_too_large", b'{"name":"a","data":{"x":-1e400}}'),
    ("number_too_large", b'{"name":"a","data":{"x":' + b"9" * 400 + b"}}"),
    ("number_too_large", b'{"name":"a","data":{"x":' + b"9" * 9_000 + b"}}"),
    ("number_too_large", b'{"name":"a","unknown":1e999}'),
    ("duplicate_key", b'{"name":"a","name":"b"}'),
    ("duplicate_key", b'{"name":"a","id":"1","i\\u0064":"2"}'),
    ("duplicate_key", b'{"name":"a","data":{},"data" :{}}'),
    ("duplicate_key", b'{"detail-type":"a","id":"1","id":"2"}'),
    ("duplicate_key", b'{"specversion":"1.0","type":"t","source":"s","id":"i","id":"j"}'),
    ("duplicate_key", b'{"name":"a","data":{},"Data":{}}'),
    ("duplicate_key", b'{"name":"a","TS":1,"T\\u017f":1}'),
    ("duplicate_key", b'{"name":"a","NAME":"b","NAME":"c"}'),
    ("missing_name", b"{}"),
    ("missing_name", b'{"name":null}'),
    ("missing_name", b'{"data":{}}'),
    ("name_not_text", event(name=5)),
    ("name_not_text", event(name="\ud800")),
    ("empty_name", event(name="")),
    ("reserved_name", event(name="inngest/function.finished")),
    ("reserved_name", event(name="InnGest/x")),
    ("name_too_long", event(name="n" * 257)),
    ("data_not_object", event(data="text")),
    ("data_not_object", event(data=[1])),
    ("data_not_object", event(data=5)),
    ("data_not_object", event(data=False)),
    ("user_not_object", event(user="u-1")),
    ("meta_not_object", event(meta="x")),
    ("meta_not_object", event(meta=5)),
    ("meta_not_object", event(meta=[])),
    ("bad_sessions", event(meta={"sessions": "x"})),
    ("bad_sessions", event(meta={"sessions": []})),
    ("bad_sessions", event(meta={"Sessions": 5})),
    ("bad_sessions", event(meta={"sessions": {"a": True}})),
    ("bad_sessions", event(meta={"sessions": {"a": {}}})),
    ("bad_sessions", event(meta={"sessions": {"": "x"}})),
    ("bad_sessions", event(meta={"sessions": {"a": ""}})),
    ("bad_sessions", event(meta={"sessions": {"k" * 129: "x"}})),
    ("bad_sessions", event(meta={"sessions": {"a": "é" * 256 + "x"}})),
    ("bad_sessions", b'{"name":"a","meta":{"sessions":{"a":1.' + b"0" * 511 + b"}}}"),
    ("bad_sessions", event(meta={"sessions": dict.fromkeys("abcdef", "1")})),
    ("bad_sessions", event(meta={"propagated_sessions": "x"})),
    ("bad_sessions", event(meta={"propagated_sessions": {"a": None}})),
    ("bad_sessions", event(meta={"propagated_sessions": {"a": False}})),
    ("bad_sessions", event(meta={"propagated_sessions": {"": "x"}})),
    ("bad_sessions", b'{"Name":"a","META":{"sessions":{"":"x"}}}'),
    ("v_not_text", event(v=1)),
    ("id_not_text", b'{"name":"a","ID":17}'),
    ("id_not_text", event(id=17)),
    ("id_not_text", event(id={"a": 1})),
    ("id_not_text", event(id="\udfff")),
    ("ts_in_seconds", event(ts=1_752_000_000)),
    ("ts_out_of_range", event(ts=-5)),
    ("ts_out_of_range", event(ts=-1_752_000_000_000)),
    ("ts_out_of_range", event(ts=4_102_444_800_001)),
    ("ts_out_of_range", event(ts=20_242_744_073_709)),
    ("ts_out_of_range", event(ts=1_752_000_000_000_000)),
    ("ts_not_integer", event(ts=1_752_000_000_000.5)),
    ("ts_not_integer", b'{"name":"a","ts":1752000000000.0}'),
    ("ts_not_integer", b'{"name":"a","ts":1.752e12}'),
    ("ts_not_integer", event(ts=True)),
    ("ts_not_integer", event(ts="2025-07-08T10:00:00Z")),
    ("empty_array", b"[ ]"),
    ("empty_array", b'{"Records":[]}'),
    ("too_many_events", b"[" + b",".join([event()] * 5_001) + b"]"),
    ("bad_cloudevent", cloud(specversion="0.3")),
    ("bad_cloudevent", cloud(type=None)),
    ("bad_cloudevent", cloud(source="")),
    ("bad_cloudevent", cloud(id=5)),
    ("data_not_object", cloud(data="text")),
    ("binary_data", cloud(data_base64="AAEC")),
    ("bad_eventbridge", b'{"detail-type":null,"detail":{}}'),
    ("data_not_object", b'{"detail-type":"t","detail":"text"}'),
    ("reserved_name", b'{"detail-type":"inngest/x","detail":{}}'),
    ("bad_s3", b'{"Records":{}}'),
    ("bad_s3", b'{"Records":[{"eventSource":"aws:ses","eventName":"x"}]}'),
    ("bad_s3", b'{"Records":[17]}'),
    ("bad_sns", sns("{}", Type="Notifikation")),
    ("bad_sns", sns(17)),
    ("sns_confirmation", sns("x", Type="SubscriptionConfirmation")),
    ("sns_confirmation", sns("x", Type="UnsubscribeConfirmation")),
    ("nested_sns", sns(sns(event().decode()).decode())),
    ("invalid_utf8", sns('{"name":"\ud800"}')),
    ("not_json", sns("hello")),
    ("empty_body", sns("")),
]


@pytest.mark.parametrize(("code", "body"), REJECTED)
def test_invalid_input_is_rejected_with_its_code(code: str, body: bytes, pulled: PULLED) -> None:
    found = decode(pulled(body), AUTO)
    assert isinstance(found, Reject), found
    assert found.code == code
    assert " " in found.reason
    assert not found.may_have_run


@pytest.mark.parametrize(
    ("code", "body"),
    [
        case
        for case in REJECTED
        if case[1][:1] == b"{" and case[0] not in ("invalid_utf8", "not_json", "too_deep")
        if not any(mark in case[1] for mark in (b"specversion", b"detail", b"Records", b"Type"))
    ],
)
def test_an_invalid_event_does_not_affect_others(code: str, body: bytes, pulled: PULLED) -> None:
    found = decode(pulled(b"[" + event(id="1") + b"," + body + b", " + event() + b"]"), AUTO)
    assert isinstance(found, Decoded), found
    assert [(item.index, item.id) for item in found.events] == [(0, "1"), (2, f"{found.base_id}.2")]
    assert [(index, reject.code) for index, reject in found.rejects] == [(1, code)]
    assert found.total == 3


def test_each_event_of_an_array_of_invalid_events_is_rejected(pulled: PULLED) -> None:
    found = decode(pulled(b"[17,[],null]"), AUTO)
    assert isinstance(found, Decoded)
    assert [reject.code for _, reject in found.rejects] == ["not_an_object"] * 3
    assert found.events == ()


@pytest.mark.parametrize(
    ("notices", "body"),
    [
        ((), event(ts=None, id=None, v=None, data=None, user=None)),
        ((), nested(100)),
        ((), b'{"name":"a","data":{"x":9007199254740992,"y":-9007199254740992}}'),
        ((), b'{"name":"a","data":{"x":"9007199254740993","y":1e300,"z":1e-999}}'),
        ((), b'{"name":"a","data":{"x":"\\ud83d\\ude00"," y":"\\\\ud800"}}'),
        ((), b'{"name":"a","data":{"x":1234567890123456.75,"y":"\\u003a"}}'),
        ((), event(ts=4_102_444_800_000, meta=None)),
        ((), event(meta={"sessions": {"a": "1", "b": 2.5, "c": None}, "other": [1]})),
        (("unknown-field:extra",), event(extra=1)),
        (("field-case:NAME", "field-case:Data"), b'{"NAME":"a","Data":{"x":1}}'),
        (("field-case:ID", "unknown-field:Extra"), event(ID="1", Extra=1)),
        (("unknown-field:a?b", "unknown-field:" + "x" * 64), event(**{"a b": 1, "x" * 99: 2})),
        (("duplicate-key",), b'{"name":"a","data":{"x":1,"x":2}}'),
        (("duplicate-key",), b'{"name":"a","data":{"x":[{"y":{},"z":1,"y" : 0}]}}'),
        (("duplicate-key",), b'{"name":"a","data":{"x:":"\\u003a","x:":1}}'),
        (("duplicate-key", "unknown-field:e"), b'{"name":"a","e":1,"e":2}'),
        (("big-integer",), b'{"name":"a","data":{"x":9007199254740993}}'),
        (("big-integer",), b'{"name":"a","data":{"x":-123456789012345678901234567890}}'),
        (("lone-surrogate",), b'{"name":"a","data":{"x":"\\uD800"}}'),
        (("lone-surrogate",), b'{"name":"a","data":{"\\udc00":[1]}}'),
        (("lone-surrogate",), b'{"name":"a","data":{"x":"\\ud83d \\ude00"}}'),
    ],
)
def test_unusual_input_is_accepted_with_a_notice(
    notices: tuple[str, ...], body: bytes, pulled: PULLED
) -> None:
    found = decode(pulled(body), AUTO)
    assert isinstance(found, Decoded), found
    assert found.notices == notices
    data = found.events[0].data
    assert data is None or (data in body and data[:1] in (b"{", b"n"))


def test_two_events_with_the_same_id_are_noticed(pulled: PULLED) -> None:
    found = decode(pulled(b"[" + event(id="x") + b"," + event(id="x") + b"]"), AUTO)
    assert isinstance(found, Decoded)
    assert found.notices == ("repeated-id",)


def test_notices_are_unique_and_limited(pulled: PULLED) -> None:
    events = [event(**{f"field{n}": 1, "same": 1}) for n in range(100)]
    found = decode(pulled(b"[" + b",".join(events) + b"]"), AUTO)
    assert isinstance(found, Decoded)
    assert len(found.notices) == len(set(found.notices)) == 20


def test_the_size_limit_applies_to_the_encoded_event(pulled: PULLED) -> None:
    message = pulled(event(name="n" * 40, id="i", data={"x": "y" * 200}, extra="z" * 500))
    found = decode(message, AUTO)
    assert isinstance(found, Decoded)
    size = len(found.events[0].wire)
    assert isinstance(decode(message, Rules(max_event_bytes=size)), Decoded)
    refused = decode(message, Rules(max_event_bytes=size - 1))
    assert isinstance(refused, Reject)
    assert refused.code == "event_too_large"
    assert str(size) in refused.reason


def test_only_the_event_that_is_too_large_is_rejected(pulled: PULLED) -> None:
    body = b"[" + event(data={"x": "y" * 5_000}) + b"," + event() + b"]"
    found = decode(pulled(body), Rules(max_event_bytes=2_000))
    assert isinstance(found, Decoded)
    assert [index for index, _ in found.rejects] == [0]
    assert [item.index for item in found.events] == [1]


def test_five_thousand_events_are_accepted(pulled: PULLED) -> None:
    found = decode(pulled(b"[" + b",".join([event()] * 5_000) + b"]"), AUTO)
    assert isinstance(found, Decoded)
    assert len(found.events) == 5_000


@pytest.mark.parametrize(
    "value",
    [
        "not json",
        "[]",
        '{"version":99,"id":"x"}',
        '{"version":1}',
        '{"version":1,"id":""}',
        '{"version":1,"id":"x","pending":[1]}',
        '{"version":1,"id":"x","encoding":"rot13"}',
        '{"version":1,"id":"x","encoding":"base64"}',
        '{"version":1,"id":"x","sent_at":Infinity}',
        '{"version":1,"id":"x","sent_at":1' + "0" * 400 + "}",
    ],
)
def test_an_origin_that_cannot_be_read_is_rejected(value: str, pulled: PULLED) -> None:
    message = pulled(event(), attributes={"relay-origin": Attribute("String", value)})
    found = decode(message, AUTO)
    assert isinstance(found, Reject)
    assert found.code == "bad_origin"


def test_a_task_with_a_reserved_name_is_rejected(pulled: PULLED) -> None:
    task = PeriodicTask("inngest/x", "2025-07-08T02:00:00Z")
    found = decode(pulled(b"", task=task), Rules(task_prefix=""))
    assert isinstance(found, Reject)
    assert found.code == "reserved_name"


@pytest.mark.parametrize("rules", [{"envelope": "kafka"}, {"id_path": "a..b"}, {"id_path": ""}])
def test_invalid_rules_are_refused_when_they_are_created(rules: dict[str, str]) -> None:
    with pytest.raises(ValueError, match="is not"):
        Rules(**rules)  # type: ignore[arg-type] # the parameters are texts only
