"""What AWS sends: EventBridge events, SNS and S3 notifications, and sqsd's periodic tasks."""

from __future__ import annotations

import json
from typing import Any

from relay.envelope import fields
from relay.envelope.json_document import Document, split_array
from relay.envelope.opened_envelope import EventDraft, InvalidContent, OpenedEnvelope
from relay.model.message import PeriodicTask
from relay.model.outcome import Reject

TEST_EVENT = "s3:TestEvent"
"""S3 sends it once when a notification is configured. It refers to no object."""

_CONFIRMATIONS = ("SubscriptionConfirmation", "UnsubscribeConfirmation")


def periodic_task(task: PeriodicTask, queue: str, prefix: str) -> OpenedEnvelope:
    """One event, named after the task.

    Its id identifies the firing, which can arrive twice. It contains the queue, because several
    environments may have the same `cron.yaml`.

    Raises:
        InvalidContent: the name is invalid.
    """
    content = {"task": task.name, "scheduled_at": task.scheduled_at}
    draft = EventDraft(
        name=fields.name(prefix + task.name),
        data=json.dumps(content, separators=(",", ":")).encode(),
    )
    return OpenedEnvelope(
        kind="task",
        drafts=(draft,),
        id=f"{queue}:{task.name}@{task.scheduled_at}" if task.scheduled_at else None,
        ts=fields.from_iso_text(task.scheduled_at),
        content=lambda: content,
    )


def eventbridge(document: Document) -> OpenedEnvelope:
    """One event: `detail-type` is its name, `detail` its data, `time` its time.

    Raises:
        InvalidContent: `bad_eventbridge`, or the name or data is invalid.
    """
    value = document.value
    title, own_id = value.get("detail-type"), value.get("id")
    if not isinstance(title, str):
        raise InvalidContent(
            "bad_eventbridge", "an EventBridge event must have a text as detail-type"
        )
    if document.repeated & {"id", "detail-type", "detail"}:
        raise InvalidContent("duplicate_key", "the EventBridge event has one of its fields twice")
    draft = EventDraft(
        name=fields.name(title),
        data=fields.payload(document.raw("detail")),
        notices=document.notices,
    )
    return OpenedEnvelope(
        kind="eventbridge",
        drafts=(draft,),
        id=own_id or None if isinstance(own_id, str) else None,
        ts=fields.from_iso_text(value.get("time")),
        content=document.complete,
    )


def sns_message(document: Document) -> bytes:
    """The message that was published to the topic.

    Raises:
        InvalidContent: `sns_confirmation`, `bad_sns` or `invalid_utf8`.
    """
    kind, text = document.value.get("Type"), document.value.get("Message")
    if kind in _CONFIRMATIONS:
        raise InvalidContent(
            "sns_confirmation", f"an SNS {kind} is not an event: a person must answer it"
        )
    if kind != "Notification" or not isinstance(text, str):
        raise InvalidContent(
            "bad_sns", "an SNS notification must have the Type Notification and a text as Message"
        )
    try:
        return text.encode()
    except UnicodeEncodeError:
        raise InvalidContent(
            "invalid_utf8", "the SNS Message contains half of a surrogate pair"
        ) from None


def sns(document: Document, inner: OpenedEnvelope) -> OpenedEnvelope:
    """The inner envelope, completed by SNS's id, time and attributes.

    The inner id and time take precedence: that id is the same after a second publication and with
    raw delivery.
    """
    outer = document.value
    return OpenedEnvelope(
        kind=inner.kind,
        drafts=inner.drafts,
        array=inner.array,
        id=inner.id or _text(outer.get("MessageId")),
        ts=inner.ts or fields.from_iso_text(outer.get("Timestamp")),
        trace=inner.trace,
        content=inner.content,
        attributes=_attributes(document.nested("MessageAttributes")),
        notices=inner.notices,
        acknowledge_reason=inner.acknowledge_reason,
    )


def _attributes(raw: Any) -> dict[str, str]:
    """The attributes that raw delivery would make message attributes, and push mode headers."""
    if not isinstance(raw, dict):
        return {}
    return {
        name: attribute["Value"]
        for name, attribute in raw.items()
        if isinstance(attribute, dict)
        and attribute.get("Type") != "Binary"
        and isinstance(attribute.get("Value"), str)
    }


def _text(value: Any) -> str | None:
    return value or None if isinstance(value, str) else None


def s3(document: Document, max_events: int) -> OpenedEnvelope:
    """One event for each record: its name is `s3/` and the event type, its data the record.

    Raises:
        InvalidContent: `bad_s3`, `empty_array`, `too_many_events`.
    """
    if document.value.get("Event") == TEST_EVENT:
        return OpenedEnvelope(kind="s3", acknowledge_reason=TEST_EVENT)
    records, text = document.nested("Records"), document.raw("Records")
    if not isinstance(records, list) or text is None:
        raise InvalidContent("bad_s3", "an S3 notification must have a list of Records")
    parts = split_array(text, max_events)
    drafts = tuple(_read_record(record, part) for record, part in zip(records, parts, strict=True))
    first = drafts[0]
    return OpenedEnvelope(
        kind="s3",
        drafts=drafts,
        array=len(drafts) > 1,
        id=first.native_id if isinstance(first, EventDraft) else None,
        content=document.complete,
        notices=document.notices,
    )


def _read_record(record: Any, text: bytes) -> EventDraft | Reject:
    try:
        return _draft(record, text)
    except InvalidContent as error:
        return error.reject


def _draft(record: Any, text: bytes) -> EventDraft:
    kind = _at(record, "eventName")
    if _at(record, "eventSource") != "aws:s3" or not isinstance(kind, str):
        raise InvalidContent("bad_s3", "the record is not one of S3: its eventSource is not aws:s3")
    kind = kind.removeprefix("s3:")
    return EventDraft(
        name=fields.name(f"s3/{kind.replace(':', '.')}"),
        data=text,
        native_id=_identity(record, kind),
        ts=fields.from_iso_text(_at(record, "eventTime")),
    )


def _identity(record: Any, kind: str) -> str | None:
    """Bucket, key, sequencer and event type, of which only the key may contain a slash.

    A few event types have no sequencer, without which two events of a key cannot be distinguished.
    """
    bucket = _at(record, "s3", "bucket", "name")
    key, sequencer = _at(record, "s3", "object", "key"), _at(record, "s3", "object", "sequencer")
    parts = (bucket, key, sequencer, kind)
    if all(isinstance(part, str) and part for part in parts):
        return "/".join(parts)
    return None


def _at(value: Any, *path: str) -> Any:
    for name in path:
        if not isinstance(value, dict):
            return None
        value = value.get(name)
    return value
