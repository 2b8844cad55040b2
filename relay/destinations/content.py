"""What of an event is sent to a destination that has no word for events: all of it, or its data."""

from __future__ import annotations

from typing import Literal, TypeAlias

from relay.message import Event

Content: TypeAlias = Literal["event", "data"]


def content(event: Event, what: Content) -> bytes:
    """JSON, the same bytes at each delivery: no receive count and no clock of the relay's in it."""
    if what == "event":
        return event.wire
    return b"{}" if event.data is None else event.data


def json_string(text: bytes) -> bytes:
    """JSON text as a JSON string, for interfaces whose parameters are text."""
    # The rest of it is legal in a string as it is: JSON text holds no raw control characters but
    # those between its tokens.
    for raw, escaped in ((b"\\", b"\\\\"), (b'"', b'\\"'), (b"\n", b"\\n"), (b"\r", b"\\r")):
        text = text.replace(raw, escaped)
    return b'"' + text.replace(b"\t", b"\\t") + b'"'
