"""Events as Inngest's SDKs send them: one object, or an array of them."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable

from relay.envelope import fields
from relay.envelope.json_document import Document, parse_document, split_array
from relay.envelope.opened_envelope import EventDraft, InvalidContent, OpenedEnvelope
from relay.model.outcome import Reject

EVENT_FIELDS = frozenset({"id", "name", "data", "ts", "v", "user", "meta"})
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
    if not EVENT_FIELDS.issuperset(document.value):
        document = _canonical(document)
    value = document.value
    if repeated := document.repeated & EVENT_FIELDS:
        raise InvalidContent("duplicate_key", f"the event has two fields named {min(repeated)}")
    text = document.raw("meta") if "meta" in value else None
    return EventDraft(
        name=fields.name(value.get("name")),
        id=fields.identifier(value.get("id")),
        ts=fields.timestamp(value.get("ts")),
        v=fields.version(value.get("v")),
        data=fields.payload(value.get("data"), document.raw("data")),
        user=fields.user(value.get("user"), document.raw("user")),
        meta=None if text is None else fields.meta(text),
        notices=document.notices,
    )


def _canonical(document: Document) -> Document:
    """The document with the event's fields under their own names. Inngest accepts any case.

    A field in two spellings counts as repeated: the server would merge them or use the last. Fields
    that no event has are kept as they are. Each change and each unknown field is noticed.
    """
    names = {name: _field(name) for name in document.value}
    times = Counter(names.values())
    return Document(
        value={names[name]: value for name, value in document.value.items()},
        members={names[name]: raw for name, raw in document.members.items()},
        notices=document.notices
        + _notices("field-case", (name for name, field in names.items() if name != field))
        + unknown_field_notices(field for field in times if field not in EVENT_FIELDS),
        repeated=frozenset(names[name] for name in document.repeated)
        | {field for field, count in times.items() if count > 1},
    )


def unknown_field_notices(names: Iterable[str]) -> tuple[str, ...]:
    """A notice for each field that is left out."""
    return _notices("unknown-field", names)


def _field(name: str) -> str:
    field = fields.folded(name)
    return field if field in EVENT_FIELDS else name


def _notices(notice: str, names: Iterable[str]) -> tuple[str, ...]:
    return tuple(f"{notice}:{_NOT_PRINTED.sub('?', name[:64])}" for name in names)


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
