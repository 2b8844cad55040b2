"""Events as Inngest's own SDKs send them: one object, or an array of them."""

from __future__ import annotations

import re
from collections.abc import Iterable

from relay.envelope import fields
from relay.envelope.json_document import Document, document, split_array
from relay.envelope.opened_envelope import EventDraft, InvalidContent, OpenedEnvelope
from relay.model.outcome import Reject

OWN = frozenset({"id", "name", "data", "ts", "v", "user"})
"""An event's fields. The event API drops all others without a word."""

_ODD = re.compile(r"[^A-Za-z0-9_.-]")


def single(found: Document) -> OpenedEnvelope:
    """One event."""
    return OpenedEnvelope(kind="inngest", drafts=(draft(found),), content=found.value)


def array(text: bytes, max_events: int) -> OpenedEnvelope:
    """Several events, the bad ones among them as their rejects.

    Raises:
        InvalidContent: `not_json`, `empty_array` or `too_many_events`: it is bad as a whole.
    """
    parts = counted(split_array(text), max_events)
    read = [_one(part) for part in parts]
    return OpenedEnvelope(
        kind="inngest",
        drafts=tuple(drafted for _, drafted in read),
        array=True,
        content=[value for value, _ in read],
    )


def counted(parts: list[bytes], max_events: int) -> list[bytes]:
    """The parts, if they are neither none nor too many.

    Raises:
        InvalidContent: `empty_array` or `too_many_events`.
    """
    if not parts:
        raise InvalidContent("empty_array", "the array holds no event")
    if len(parts) > max_events:
        raise InvalidContent(
            "too_many_events", f"{len(parts)} events in one message, more than {max_events}"
        )
    return parts


def draft(found: Document) -> EventDraft:
    """The event in this object.

    Raises:
        InvalidContent: one of its fields is not as it must be.
    """
    value = found.value
    if repeated := found.repeated & OWN:
        raise InvalidContent("duplicate_key", f"the event has two fields named {min(repeated)}")
    return EventDraft(
        name=fields.name(value.get("name")),
        id=fields.identifier(value.get("id")),
        ts=fields.moment(value.get("ts")),
        v=fields.version(value.get("v")),
        data=fields.payload(value.get("data"), found.text("data")),
        user=fields.user(value.get("user"), found.text("user")),
        notices=found.notices if OWN.issuperset(value) else found.notices + _unknown(value),
    )


def unknown(names: Iterable[str]) -> tuple[str, ...]:
    """A notice for each field that is kept out."""
    return tuple(f"unknown-field:{_ODD.sub('?', name[:64])}" for name in names)


def _unknown(value: Iterable[str]) -> tuple[str, ...]:
    return unknown(name for name in value if name not in OWN)


def _one(text: bytes) -> tuple[object, EventDraft | Reject]:
    try:
        found = document(text)
    except InvalidContent as unfit:
        if unfit.reject.code == "not_json":
            raise
        return None, unfit.reject
    try:
        return found.value, draft(found)
    except InvalidContent as unfit:
        return found.value, unfit.reject
