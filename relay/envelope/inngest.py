"""Events as Inngest's SDKs send them: one object, or an array of them."""

from __future__ import annotations

import re
from collections.abc import Iterable

from relay.envelope import fields
from relay.envelope.json_document import Document, parse_document, split_array
from relay.envelope.opened_envelope import EventDraft, InvalidContent, OpenedEnvelope
from relay.model.outcome import Reject

EVENT_FIELDS = frozenset({"id", "name", "data", "ts", "v", "user"})
"""The fields of an event. The event API silently drops all others."""

_NOT_PRINTED = re.compile(r"[^A-Za-z0-9_.-]")


def one_event(document: Document) -> OpenedEnvelope:
    """One event."""
    return OpenedEnvelope(kind="inngest", drafts=(parse_event(document),), content=document.value)


def event_array(text: bytes, max_events: int) -> OpenedEnvelope:
    """Several events, with a reject in place of each invalid one.

    Raises:
        InvalidContent: `not_json`, `empty_array` or `too_many_events`, for the whole array.
    """
    parts = checked_count(split_array(text), max_events)
    read = [_read_element(part) for part in parts]
    return OpenedEnvelope(
        kind="inngest",
        drafts=tuple(draft for _, draft in read),
        array=True,
        content=[value for value, _ in read],
    )


def checked_count(parts: list[bytes], max_events: int) -> list[bytes]:
    """The parts, unless there are none or too many.

    Raises:
        InvalidContent: `empty_array` or `too_many_events`.
    """
    if not parts:
        raise InvalidContent("empty_array", "the array contains no event")
    if len(parts) > max_events:
        raise InvalidContent(
            "too_many_events", f"{len(parts)} events in one message, more than {max_events}"
        )
    return parts


def parse_event(document: Document) -> EventDraft:
    """The event in this object.

    Raises:
        InvalidContent: one of its fields is invalid.
    """
    value = document.value
    if repeated := document.repeated & EVENT_FIELDS:
        raise InvalidContent("duplicate_key", f"the event has two fields named {min(repeated)}")
    notices = document.notices
    if not EVENT_FIELDS.issuperset(value):
        notices += unknown_field_notices(name for name in value if name not in EVENT_FIELDS)
    return EventDraft(
        name=fields.name(value.get("name")),
        id=fields.identifier(value.get("id")),
        ts=fields.timestamp(value.get("ts")),
        v=fields.version(value.get("v")),
        data=fields.payload(value.get("data"), document.raw("data")),
        user=fields.user(value.get("user"), document.raw("user")),
        notices=notices,
    )


def unknown_field_notices(names: Iterable[str]) -> tuple[str, ...]:
    """A notice for each field that is left out."""
    return tuple(f"unknown-field:{_NOT_PRINTED.sub('?', name[:64])}" for name in names)


def _read_element(text: bytes) -> tuple[object, EventDraft | Reject]:
    try:
        document = parse_document(text)
    except InvalidContent as error:
        if error.reject.code == "not_json":
            raise
        return None, error.reject
    try:
        return document.value, parse_event(document)
    except InvalidContent as error:
        return document.value, error.reject
