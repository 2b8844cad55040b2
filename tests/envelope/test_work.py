"""Decoding a body that a producer made for it, or by mistake: the work grows with its size only."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from relay.envelope import Decoded, Rules, decode
from relay.model.message import Attribute, Message
from relay.model.origin import ATTRIBUTE
from relay.model.outcome import Reject
from tests.work import assert_linear, work_of

PIECES = 4_000


def event(data: bytes) -> bytes:
    return b'{"name":"a","data":%b}' % data


def many(piece: bytes, count: int) -> bytes:
    return b",".join([piece] * count)


def numbered(piece: bytes, count: int) -> bytes:
    return b",".join(piece % number for number in range(count))


def sns(inner: bytes) -> bytes:
    outer = {"Type": "Notification", "TopicArn": "t", "Message": inner.decode()}
    return json.dumps(outer).encode()


def sns_attributes(count: int) -> bytes:
    attributes = {str(number): {"Type": "String", "Value": "v"} for number in range(count)}
    outer = {"Type": "Notification", "TopicArn": "t", "Message": '{"name":"a"}'}
    return json.dumps({**outer, "MessageAttributes": attributes}).encode()


CLOUD = b'{"specversion":"1.0","id":"1","source":"s","type":"t",'

BODIES: dict[str, Callable[[int], bytes]] = {
    "one key again and again": lambda n: b'{"name":"a",%b}' % many(b'"k":1', n),
    "the same in the data": lambda n: event(b"{%b}" % many(b'"k":1', n)),
    "the same in many objects": lambda n: event(b'{"a":[%b]}' % many(b'{"k":1,"k":2}', n)),
    "the same in SNS": lambda n: sns(event(b"{%b}" % many(b'"k":1', n))),
    "every key twice": lambda n: b'{"name":"a",%b}' % numbered(b'"%d":1,"%b":2' % (0, b"%d"), n),
    "unknown fields": lambda n: b'{"name":"a",%b}' % numbered(b'"%d":1', n),
    "unknown fields printed alike": lambda n: (
        b'{"name":"a",%b}'
        % b",".join(b'"%b":1' % (b"!" * 70 + b"%d" % number) for number in range(n))
    ),
    "fields in other cases": lambda n: b'{"name":"a",%b}' % many(b'"NAME":1', n),
    "a field that folds to another": lambda n: b'{"name":"a",%b}' % numbered(b'"T\xc5\xbf%d":1', n),
    "extensions of CloudEvents": lambda n: CLOUD + numbered(b'"%d":1', n) + b"}",
    "large integers": lambda n: event(b'{"a":[%b]}' % many(b"90071992547409931", n)),
    "one long integer": lambda n: event(b'{"a":%b}' % (b"9" * 10 * n)),
    "integers of 300 digits": lambda n: event(b'{"a":[%b]}' % many(b"9" * 300, n)),
    "one long fraction": lambda n: event(b'{"a":0.%b1}' % (b"0" * 10 * n)),
    "exponents": lambda n: event(b'{"a":[%b]}' % many(b"1e300", n)),
    "overflows": lambda n: event(b'{"a":[%b]}' % many(b"1e999", n)),
    "NaN": lambda n: event(b'{"a":[%b]}' % many(b"NaN", n)),
    "a long ts": lambda n: b'{"name":"a","ts":%b}' % (b"1" * 10 * n),
    "a long time": lambda n: b'{"detail-type":"a","detail":{},"time":"%b"}' % (b"2" * 10 * n),
    "escapes": lambda n: event(b'{"a":"%b"}' % (b"\\n" * n)),
    "escaped colons": lambda n: event(b'{"a":[%b]}' % many(b'"\\u003a"', n)),
    "halves of surrogate pairs": lambda n: event(b'{"a":[%b]}' % many(b'"\\ud800"', n)),
    "backslashes": lambda n: event(b'{"a":"%b"}' % (b"\\\\" * n)),
    "empty lists": lambda n: event(b'{"a":[%b]}' % many(b"[]", n)),
    "empty objects and a repeated key": lambda n: event(b'{"k":1,"k":1,"a":[%b]}' % many(b"{}", n)),
    "brackets that open": lambda n: b"[" * 10 * n,
    "brackets that open and close": lambda n: b"[" * 5 * n + b"]" * 5 * n,
    "brackets that only close": lambda n: b'{"a":[' + b"[" * 101 + b"]}" * 5 * n,
    "many deep lists": lambda n: event(b'{"a":[%b]}' % many(b"[" * 90 + b"]" * 90, n // 20)),
    "brackets between strings": lambda n: event(b'{"a":[%b]}' % many(b'[""]', n)),
    "quotes": lambda n: b"[" * 101 + b'"' * 10 * n,
    "blanks": lambda n: b'{"name":"a","k":1,"k":1%b}' % (b" " * 10 * n),
    "lines before a mistake": lambda n: b'{"name":"a"%bx' % (b"\n" * 10 * n),
    "a string without an end": lambda n: b'{"name":"%b' % (b"a" * 10 * n),
    "numbers in place of events": lambda n: b"[%b]" % many(b"1", n),
    "NaN in place of events": lambda n: b"[%b]" % many(b"NaN", n),
    "small events": lambda n: b"[%b]" % many(b'{"name":"a"}', n),
    "small events with repeated keys": lambda n: b"[%b]" % many(b'{"name":"a","k":1,"k":2}', n),
    "small events and NaN": lambda n: b'[%b,{"name":NaN}]' % many(b'{"name":"a"}', n),
    "records of S3": lambda n: b'{"Records":[%b]}' % many(b'{"eventSource":"aws:s3"}', n),
    "attributes of SNS": sns_attributes,
    "sessions": lambda n: b'{"name":"a","meta":{"sessions":{%b}}}' % numbered(b'"%d":"1"', n),
    "propagated sessions": lambda n: (
        b'{"name":"a","meta":{"propagated_sessions":{%b}}}' % numbered(b'"%d":"1"', n)
    ),
    "a long id": lambda n: b'{"name":"a","id":"%b"}' % (b"a" * 10 * n),
    "a long name": lambda n: b'{"name":"%b"}' % (b"a" * 10 * n),
    "a long source": lambda n: CLOUD.replace(b'"s"', b'"%b"' % (b"%%" * n))[:-1] + b"}",
}


@pytest.mark.parametrize("name", BODIES)
def test_twice_the_body_is_at_most_twice_the_work(name: str) -> None:
    def make(pieces: int) -> Callable[[], object]:
        message = Message(body=BODIES[name](pieces), message_id="m", queue="q")
        return lambda: decode(message, Rules(max_events=100_000))

    assert_linear(make, PIECES)


def test_repeated_keys_cost_no_call_for_each_of_them() -> None:
    """Such a body is honest: some producers add a field again instead of replacing it."""
    body = b'{"name":"a",%b,"data":{%b}}' % (many(b'"k":1', PIECES), many(b'"k":1', PIECES))
    message = Message(body=body, message_id="m", queue="q")
    found = decode(message, Rules())
    assert isinstance(found, Decoded)
    assert found.notices == ("duplicate-key", "unknown-field:k")
    # Counting the repeated names of the outermost object is one call for each.
    assert work_of(lambda: decode(message, Rules())).calls < PIECES + 500


@pytest.mark.parametrize("element", [b"1", b"NaN", b'{"name":"a"}'])
def test_too_many_events_are_counted_before_any_is_copied(element: bytes) -> None:
    message = Message(body=b"[%b]" % many(element, 50_000), message_id="m", queue="q")
    found = decode(message, Rules())
    assert isinstance(found, Reject)
    assert found.code == "too_many_events"
    assert work_of(lambda: decode(message, Rules())).calls < 500


ORIGINS: dict[str, Callable[[int], str]] = {
    "pending positions": lambda n: '"pending":[%s]' % ",".join(["7"] * n),  # noqa: UP031 - as above
    "lost names": lambda n: '"lost":[%s]' % ",".join(['"a"'] * n),  # noqa: UP031 - as above
    "unknown fields": lambda n: ",".join(f'"{number}":1' for number in range(n)),
    "a long reason": lambda n: f'"reason":"{"a" * 10 * n}"',
    "repeated fields": lambda n: ",".join(['"hops":1'] * n),
}


@pytest.mark.parametrize("name", ORIGINS)
def test_twice_the_origin_is_at_most_twice_the_work(name: str) -> None:
    def make(pieces: int) -> Callable[[], object]:
        text = '{"version":1,"id":"a",%s}' % ORIGINS[name](pieces)  # noqa: UP031 - as above
        attributes = {ATTRIBUTE: Attribute("String", text)}
        body = b"[%b]" % many(b'{"name":"a"}', 10)
        message = Message(body=body, message_id="m", queue="q", attributes=attributes)
        return lambda: decode(message, Rules())

    assert_linear(make, PIECES)


def test_decoding_a_large_event_makes_no_objects_of_its_data() -> None:
    item = json.dumps({"sku": "A-1", "quantity": 2, "price": 19.95, "tags": ["new"]}).encode()
    body = event(b'{"items":[%b]}' % many(item, 2_000))
    message = Message(body=body, message_id="m", queue="q")
    found = decode(message, Rules())
    assert isinstance(found, Decoded)
    assert found.notices == ()
    # A copy for each check of the whole text, one at a time, and that of the event's data.
    work = work_of(lambda: decode(message, Rules()))
    assert work.peak < 2 * len(body)
    assert work.calls < 150


def test_doubles_of_17_digits_are_not_read_by_the_checking_parser() -> None:
    body = event(b'{"id":"1234567890123456","at":[%b]}' % many(b"0.30000000000000004", PIECES))
    message = Message(body=body, message_id="m", queue="q")
    assert work_of(lambda: decode(message, Rules())).calls < 150
