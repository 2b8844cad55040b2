"""S3 event notifications, as a bucket sends them to a queue or a topic of its own accord."""

from __future__ import annotations

from typing import Any

from relay.envelope import fields, moment
from relay.envelope.document import Document, elements
from relay.envelope.inngest import counted
from relay.envelope.letter import Draft, Letter
from relay.envelope.unfit import Unfit
from relay.message import Reject

TEST_EVENT = "s3:TestEvent"
"""What S3 sends once when a notification is configured; it speaks of no object."""


def letter(found: Document, max_events: int) -> Letter:
    """One event for each record: its name is `s3/` and the event type, its data the record.

    Raises:
        Unfit: `bad_s3`, `empty_array`, `too_many_events`.
    """
    if found.value.get("Event") == TEST_EVENT:
        return Letter(kind="s3", acknowledge=TEST_EVENT)
    records, text = found.value.get("Records"), found.text("Records")
    if not isinstance(records, list) or text is None:
        raise Unfit("bad_s3", "an S3 notification has a list of Records")
    parts = counted(elements(text), max_events)
    drafts = tuple(_one(record, part) for record, part in zip(records, parts, strict=True))
    first = drafts[0]
    return Letter(
        kind="s3",
        drafts=drafts,
        array=len(drafts) > 1,
        id=first.native if isinstance(first, Draft) else None,
        content=found.value,
        notices=found.notices,
    )


def _one(record: Any, text: bytes) -> Draft | Reject:
    try:
        return _draft(record, text)
    except Unfit as unfit:
        return unfit.reject


def _draft(record: Any, text: bytes) -> Draft:
    kind = _at(record, "eventName")
    if _at(record, "eventSource") != "aws:s3" or not isinstance(kind, str):
        raise Unfit("bad_s3", "the record is not one of S3: its eventSource is not aws:s3")
    kind = kind.removeprefix("s3:")
    return Draft(
        name=fields.name(f"s3/{kind.replace(':', '.')}"),
        data=text,
        native=_identity(record, kind),
        ts=moment.of_text(_at(record, "eventTime")),
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
