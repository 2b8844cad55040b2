"""Sample messages of the demo: every envelope, and every kind of poison."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeAlias

IdRule = Callable[[str], str]
"""Returns an event's expected id, given the MessageId of its message."""


def fixed_id(event_id: str) -> IdRule:
    """An id that the body contains."""
    return lambda _message_id: event_id


def message_id_plus(suffix: str = "") -> IdRule:
    """An id derived from the MessageId."""
    return lambda message_id: message_id + suffix


@dataclass(frozen=True, slots=True, kw_only=True)
class SampleMessage:
    """One message to publish.

    Attributes:
        kind: its row in the table of what was published.
        runs: the ids of its events that must run.
        rejected: the ids of its events that must be dead-lettered.
        code: the expected reason code of the dead letter.
        group: its message group on a FIFO queue.
        attributes: String attributes.
    """

    kind: str
    body: str
    runs: tuple[IdRule, ...] = ()
    rejected: tuple[IdRule, ...] = ()
    code: str | None = None
    group: str | None = None
    attributes: dict[str, str] = field(default_factory=dict)


MakeMessage: TypeAlias = Callable[[str, int], SampleMessage]
"""Makes a message with this event name and number."""

EVENT_NAMES = ("demo/none", "demo/one", "demo/three")
"""Named after the number of functions that listen to each."""

SENT = "2026-03-04T05:06:07Z"
_ODD = '{ "big": 9007199254740993, "price": 1.10, "z": "\\u00e9\\/", "a": [] }'
"""Data that reformatting would change; it must arrive byte for byte."""


def _event(name: str, number: int, *, event_id: str | None) -> str:
    named = f'"id": {json.dumps(event_id)}, ' if event_id else ""
    return f'{{{named}"name": "{name}", "data": {{"n": {number}, "odd": {_ODD}}}}}'


def event_with_id(name: str, number: int) -> SampleMessage:
    """An event with an id."""
    event_id = f"order-{number}"
    return SampleMessage(
        kind="event", body=_event(name, number, event_id=event_id), runs=(fixed_id(event_id),)
    )


def event_without_id(name: str, number: int) -> SampleMessage:
    """An event without an id: it gets the MessageId."""
    body = _event(name, number, event_id=None)
    return SampleMessage(kind="event without id", body=body, runs=(message_id_plus(),))


def array(name: str, number: int) -> SampleMessage:
    """Three events in one message, one of them with an id."""
    events = [_event(name, number, event_id=i) for i in (None, f"line-{number}", None)]
    runs = (message_id_plus(".0"), fixed_id(f"line-{number}"), message_id_plus(".2"))
    return SampleMessage(kind="array", body=f"[{', '.join(events)}]", runs=runs)


def sns_notification(name: str, number: int) -> SampleMessage:
    """An SNS notification around an event."""
    message_id = f"5f3c1d2e-0000-4000-8000-{number:012d}"
    body = {
        "Type": "Notification",
        "MessageId": message_id,
        "TopicArn": "arn:aws:sns:eu-central-1:123456789012:orders",
        "Message": _event(name, number, event_id=None),
        "Timestamp": SENT,
        "SignatureVersion": "1",
        "Signature": "none",
        "SigningCertURL": "https://sns.eu-central-1.amazonaws.com/certificate.pem",
        "UnsubscribeURL": "https://sns.eu-central-1.amazonaws.com/?Action=Unsubscribe",
    }
    return SampleMessage(kind="SNS", body=json.dumps(body), runs=(fixed_id(message_id),))


def eventbridge_event(name: str, number: int) -> SampleMessage:
    """An EventBridge event."""
    event_id = f"7bf73129-1428-4cd3-a780-{number:012d}"
    body = {
        "version": "0",
        "id": event_id,
        "detail-type": name,
        "source": "com.example.shop",
        "account": "123456789012",
        "time": SENT,
        "region": "eu-central-1",
        "resources": [],
        "detail": {"n": number},
    }
    return SampleMessage(kind="EventBridge", body=json.dumps(body), runs=(fixed_id(event_id),))


def cloudevent(name: str, number: int) -> SampleMessage:
    """A CloudEvents event in structured JSON; the id combines its source and id."""
    source, event_id = "/shop/orders", f"A234-{number}"
    body = {
        "specversion": "1.0",
        "type": name,
        "source": source,
        "id": event_id,
        "time": SENT,
        "datacontenttype": "application/json",
        "data": {"n": number},
    }
    return SampleMessage(
        kind="CloudEvents", body=json.dumps(body), runs=(fixed_id(f"{source}#{event_id}"),)
    )


def s3_notification(_name: str, number: int) -> SampleMessage:
    """An S3 event notification for one new object."""
    key, sequencer = f"uploads/{number}.wav", f"{number:016X}"
    record = {
        "eventVersion": "2.1",
        "eventSource": "aws:s3",
        "awsRegion": "eu-central-1",
        "eventTime": SENT,
        "eventName": "ObjectCreated:Put",
        "s3": {
            "s3SchemaVersion": "1.0",
            "configurationId": "uploads",
            "bucket": {"name": "media", "arn": "arn:aws:s3:::media"},
            "object": {"key": key, "size": 1024, "eTag": "d41d8", "sequencer": sequencer},
        },
    }
    event_id = f"media/{key}/{sequencer}/ObjectCreated:Put"
    return SampleMessage(
        kind="S3", body=json.dumps({"Records": [record]}), runs=(fixed_id(event_id),)
    )


def periodic_task(_name: str, number: int) -> SampleMessage:
    """A periodic task, as the leader's worker daemon sends it to the queue."""
    return SampleMessage(
        kind="periodic task",
        body="elasticbeanstalk scheduled job",
        runs=(fixed_id(f"relay:nightly-{number}@{SENT}"),),
        attributes={
            "beanstalk.sqsd.path": "/",
            "beanstalk.sqsd.task_name": f"nightly-{number}",
            "beanstalk.sqsd.scheduled_time": "2026-03-04 05:06:07 UTC",
        },
    )


def s3_test_event(_name: str, _number: int) -> SampleMessage:
    """What S3 sends when a notification is configured: nothing runs, nothing is dead-lettered."""
    body = {
        "Service": "Amazon S3",
        "Event": "s3:TestEvent",
        "Time": SENT,
        "Bucket": "media",
        "RequestId": "5582815E1AEA5ADF",
        "HostId": "8cLeGAmw098X5cv4Zkwcmo8vvZa3eH3eKxsPzbB9wrR+YstdA6Knx4Ip8EXAMPLE",
    }
    return SampleMessage(kind="S3 test", body=json.dumps(body))


VALID: tuple[MakeMessage, ...] = (
    event_with_id,
    event_with_id,
    event_with_id,
    event_without_id,
    array,
    sns_notification,
    eventbridge_event,
    cloudevent,
    s3_notification,
)


VALID_IN_PUSH_MODE = (*VALID, periodic_task)
"""Only in push mode does the daemon turn such messages into periodic tasks."""


def array_with_poison(number: int) -> SampleMessage:
    """An array whose middle event is poison: the others run, it is dead-lettered by position."""
    good = [_event("demo/one", number, event_id=f"half-{number}-{n}") for n in (0, 2)]
    body = f'[{good[0]}, {{"name": "inngest/reserved", "data": {{}}}}, {good[1]}]'
    return SampleMessage(
        kind="array with poison",
        body=body,
        runs=(fixed_id(f"half-{number}-0"), fixed_id(f"half-{number}-2")),
        rejected=(message_id_plus(".1"),),
        code="reserved_name",
    )


def poison(number: int) -> SampleMessage:
    """One of each kind of message that SQS accepts and the relay must reject."""
    kind, body, code = _POISON[number % len(_POISON)]
    return SampleMessage(
        kind=f"poison: {kind}", body=body, rejected=(message_id_plus(),), code=code
    )


def _named(event: str) -> str:
    return f'{{"name": "demo/one", "data": {{}}, {event}}}'


_POISON: tuple[tuple[str, str, str], ...] = (
    ("not JSON", "hello", "not_json"),
    ("only blanks", "   ", "empty_body"),
    ("a scalar", "42", "not_an_object"),
    ("a byte order mark", '\ufeff{"name": "demo/one"}', "byte_order_mark"),
    ("NaN", '{"name": "demo/one", "data": {"x": NaN}}', "not_finite"),
    ("Infinity", '{"name": "demo/one", "data": {"x": -Infinity}}', "not_finite"),
    ("a number beyond a double", '{"name": "demo/one", "data": {"x": 1e999}}', "number_too_large"),
    ("too deep", '{"name": "demo/one", "data": ' + '{"a":' * 200 + "1" + "}" * 201, "too_deep"),
    ("a duplicate key", _named('"id": "a", "id": "b"'), "duplicate_key"),
    ("no name", '{"data": {}}', "missing_name"),
    ("an empty name", '{"name": "", "data": {}}', "empty_name"),
    ("a reserved name", '{"name": "InnGest/function.failed", "data": {}}', "reserved_name"),
    ("a long name", '{"name": "' + "n" * 300 + '", "data": {}}', "name_too_long"),
    ("data that is a string", '{"name": "demo/one", "data": "x"}', "data_not_object"),
    ("a time in seconds", _named('"ts": 1767323045'), "ts_in_seconds"),
    ("a negative time", _named('"ts": -1'), "ts_out_of_range"),
    ("a fractional time", _named('"ts": 1767323045000.5'), "ts_not_integer"),
    ("a time far in the future", _named('"ts": 9999999999999'), "ts_out_of_range"),
    ("an id that is a number", _named('"id": 7'), "id_not_text"),
    ("an empty array", "[]", "empty_array"),
    ("too many events", "[" + ",".join(['{"name":"demo/one"}'] * 5_001) + "]", "too_many_events"),
    ("an invalid CloudEvent", '{"specversion": "0.3", "type": "demo/one"}', "bad_cloudevent"),
)
