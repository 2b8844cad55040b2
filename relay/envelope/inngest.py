"""Events as Inngest's SDKs send them: one object, or an array of them."""

from __future__ import annotations

import re
from collections.abc import Iterable

from relay.envelope import fields
from relay.envelope.json_document import Document, parse_document, split_array
from relay.envelope.opened_envelope import EventDraft, InvalidContent, OpenedEnvelope
from relay.model.outcome import Reject

EVENT_FIELDS = frozenset({"id", "name", "data", "ts", "v", "user", "meta"})
"""The fields of an event. The event API silently drops all others."""

_LONGEST_FIELD = max(map(len, EVENT_FIELDS))

MAX_NOTICES = 20
"""The most different notices that are kept for a message."""

_NOT_PRINTED = re.compile(r"[^A-Za-z0-9_.-]")


def one_event(document: Document) -> OpenedEnvelope:
    """One event."""
    return OpenedEnvelope(
        kind="inngest", drafts=(parse_event(document),), content=document.complete
    )


def event_array(text: bytes, max_events: int) -> OpenedEnvelope:
    """Several events, with a reject in place of each invalid one.

    Raises:
        InvalidContent: `not_json`, `empty_array` or `too_many_events`, for the whole array.
    """
    read = [_read_element(part) for part in split_array(text, max_events)]
    return OpenedEnvelope(
        kind="inngest",
        drafts=tuple(draft for _, draft in read),
        array=True,
        content=lambda: [document and document.complete() for document, _ in read],
    )


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
        data=fields.payload(document.view("data")),
        user=fields.user(document.raw("user")),
        meta=None if text is None else fields.meta(text),
        notices=document.notices,
    )


def _canonical(document: Document) -> Document:
    """The document with the event's fields under their own names. Inngest accepts any case.

    A field in two spellings counts as repeated: the server would merge them or use the last. Fields
    that no event has are left out. Each change and each unknown field is noticed.
    """
    value, members, repeated = {}, {}, set()
    for name, member in document.value.items():
        # `folded` shortens no name, so a longer one is no field of an event.
        field = fields.folded(name) if len(name) <= _LONGEST_FIELD else name
        if field not in EVENT_FIELDS:
            continue
        if field in value or name in document.repeated:
            repeated.add(field)
        value[field], members[field] = member, document.members[name]
    return Document(
        value=value,
        members=members,
        notices=document.notices
        + _notices("field-case", (name for name in document.value if _is_misspelt(name)))
        + unknown_field_notices(name for name in document.value if not _is_field(name)),
        repeated=frozenset(repeated),
    )


def unknown_field_notices(names: Iterable[str]) -> tuple[str, ...]:
    """A notice for each field that is left out, at most `MAX_NOTICES` different ones."""
    return _notices("unknown-field", names)


def _is_field(name: str) -> bool:
    return len(name) <= _LONGEST_FIELD and fields.folded(name) in EVENT_FIELDS


def _is_misspelt(name: str) -> bool:
    return name not in EVENT_FIELDS and _is_field(name)


def _notices(notice: str, names: Iterable[str]) -> tuple[str, ...]:
    found: dict[str, None] = {}
    for name in names:
        found[f"{notice}:{_NOT_PRINTED.sub('?', name[:64])}"] = None
        if len(found) == MAX_NOTICES:
            break
    return tuple(found)


def _read_element(text: bytes) -> tuple[Document | None, EventDraft | Reject]:
    try:
        document = parse_document(text)
    except InvalidContent as error:
        if error.reject.code == "not_json":
            raise
        return None, error.reject
    try:
        return document, parse_event(document)
    except InvalidContent as error:
        return document, error.reject
