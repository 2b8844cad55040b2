"""S3 event notifications, as a bucket sends them to a queue or a topic of its own accord."""

from __future__ import annotations

import json
from typing import Any

from relay.envelope import fields
from relay.envelope.inngest import counted
from relay.envelope.json_document import Document, split_array
from relay.envelope.opened_envelope import EventDraft, InvalidContent, OpenedEnvelope
from relay.model.message import PeriodicTask
from relay.model.outcome import Reject


def periodic_task(task: PeriodicTask, queue: str, prefix: str) -> OpenedEnvelope:
    """One event, named after the task.

    Its id is that of the firing, which can come twice; the queue tells environments apart that
    have the same `cron.yaml`.

    Raises:
        InvalidContent: the name breaks a rule.
    """
    content = {"task": task.name, "scheduled_at": task.scheduled_at}
    drafted = EventDraft(
        name=fields.name(prefix + task.name),
        data=json.dumps(content, separators=(",", ":")).encode(),
    )
    return OpenedEnvelope(
        kind="task",
        drafts=(drafted,),
        id=f"{queue}:{task.name}@{task.scheduled_at}" if task.scheduled_at else None,
        ts=fields.of_text(task.scheduled_at),
        content=content,
    )


def eventbridge(found: Document) -> OpenedEnvelope:
    """One event: `detail-type` is its name, `detail` its data, `time` its time.

    Raises:
        InvalidContent: `bad_eventbridge`, or a rule for names or data is broken.
    """
    value = found.value
    title, own_id = value.get("detail-type"), value.get("id")
    if not isinstance(title, str):
        raise InvalidContent("bad_eventbridge", "an EventBridge event has a text as detail-type")
    if found.repeated & {"id", "detail-type", "detail"}:
        raise InvalidContent("duplicate_key", "the EventBridge event has one of its fields twice")
    drafted = EventDraft(
        name=fields.name(title),
        data=fields.payload(value.get("detail"), found.text("detail")),
        notices=found.notices,
    )
    return OpenedEnvelope(
        kind="eventbridge",
        drafts=(drafted,),
        id=own_id or None if isinstance(own_id, str) else None,
        ts=fields.of_text(value.get("time")),
        content=value,
    )


_CONFIRMATIONS = ("SubscriptionConfirmation", "UnsubscribeConfirmation")


def inside(found: Document) -> bytes:
    """The message that was published.

    Raises:
        InvalidContent: `sns_confirmation`, `bad_sns` or `invalid_utf8`.
    """
    kind, text = found.value.get("Type"), found.value.get("Message")
    if kind in _CONFIRMATIONS:
        raise InvalidContent(
            "sns_confirmation", f"an SNS {kind} is for a person to answer; it is no event"
        )
    if kind != "Notification" or not isinstance(text, str):
        raise InvalidContent(
            "bad_sns", "an SNS notification has the Type Notification and a text as Message"
        )
    try:
        return text.encode()
    except UnicodeEncodeError:
        raise InvalidContent(
            "invalid_utf8", "the SNS Message holds half of a surrogate pair"
        ) from None


def sns(found: Document, inner: OpenedEnvelope) -> OpenedEnvelope:
    """The inner letter with what SNS knows of it: where both name an id or a time, the inner's.

    The inner id outlives a second publication and is the same with raw delivery.
    """
    outer = found.value
    return OpenedEnvelope(
        kind=inner.kind,
        drafts=inner.drafts,
        array=inner.array,
        id=inner.id or _text(outer.get("MessageId")),
        ts=inner.ts or fields.of_text(outer.get("Timestamp")),
        trace=inner.trace,
        content=inner.content,
        attributes=_attributes(outer.get("MessageAttributes")),
        notices=inner.notices,
        acknowledge=inner.acknowledge,
    )


def _attributes(raw: Any) -> dict[str, str]:
    """Those that would be message attributes with raw delivery and survive as headers."""
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


TEST_EVENT = "s3:TestEvent"
"""What S3 sends once when a notification is configured; it speaks of no object."""


def s3(found: Document, max_events: int) -> OpenedEnvelope:
    """One event for each record: its name is `s3/` and the event type, its data the record.

    Raises:
        InvalidContent: `bad_s3`, `empty_array`, `too_many_events`.
    """
    if found.value.get("Event") == TEST_EVENT:
        return OpenedEnvelope(kind="s3", acknowledge=TEST_EVENT)
    records, text = found.value.get("Records"), found.text("Records")
    if not isinstance(records, list) or text is None:
        raise InvalidContent("bad_s3", "an S3 notification has a list of Records")
    parts = counted(split_array(text), max_events)
    drafts = tuple(_one(record, part) for record, part in zip(records, parts, strict=True))
    first = drafts[0]
    return OpenedEnvelope(
        kind="s3",
        drafts=drafts,
        array=len(drafts) > 1,
        id=first.native if isinstance(first, EventDraft) else None,
        content=found.value,
        notices=found.notices,
    )


def _one(record: Any, text: bytes) -> EventDraft | Reject:
    try:
        return _draft(record, text)
    except InvalidContent as unfit:
        return unfit.reject


def _draft(record: Any, text: bytes) -> EventDraft:
    kind = _at(record, "eventName")
    if _at(record, "eventSource") != "aws:s3" or not isinstance(kind, str):
        raise InvalidContent("bad_s3", "the record is not one of S3: its eventSource is not aws:s3")
    kind = kind.removeprefix("s3:")
    return EventDraft(
        name=fields.name(f"s3/{kind.replace(':', '.')}"),
        data=text,
        native=_identity(record, kind),
        ts=fields.of_text(_at(record, "eventTime")),
    )


def _identity(record: Any, kind: str) -> str | None:
    """Bucket, key, sequencer and event; a bucket's name, a sequencer and an event have no slash.

    Few event types have no sequencer; without one nothing tells two events of a key apart.
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
