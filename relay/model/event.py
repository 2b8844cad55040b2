"""An event: what a destination receives."""

from __future__ import annotations

import json
from collections.abc import Sequence
from json.encoder import encode_basestring  # what `dumps` calls, without making an encoder first
from typing import TypeAlias

from msgspec import Struct

ENVIRONMENT = "x-inngest-env"
"""The name of the header, and of the message attribute, with the environment of the events."""

MAX_ENVIRONMENT = 256
"""Characters of an environment's name."""


LARGE = 2_048
"""Bytes of data from which an event shares them with the body of its message. A view takes some 300
bytes, so that the data of a small event are copied."""

Json: TypeAlias = bytes | memoryview
"""JSON text; a view of a part of a body keeps the whole body alive."""


class Event(Struct, frozen=True):
    """One event of a message, ready to be sent to a destination.

    `data`, `user` and `meta` are the producer's JSON text, byte for byte, or None if it sent none.
    Large `data` may be a view of the message's body.
    `ts` is in milliseconds. `index` is the event's position in the message as first received, 0 for
    a single event. It survives dead-lettering: a redrive sends only the pending positions. `trace`
    is the producer's W3C `traceparent`, if it sent one. `env` is the Inngest environment that the
    producer sent it to, None for the one that the settings name.
    """

    id: str
    name: str
    data: Json | None = None
    ts: int | None = None
    v: str | None = None
    user: bytes | None = None
    index: int = 0
    message_id: str = ""
    trace: str | None = None
    meta: bytes | None = None
    env: str | None = None

    @property
    def wire(self) -> bytes:
        """The event as one JSON object, the same bytes at each delivery of the same message.

        Encoded at each call: with thousands of events in flight, a cached copy would hold every
        payload in memory twice.
        """
        return b"".join(self.parts)

    @property
    def size(self) -> int:
        """The bytes of `wire`, without a copy of the data."""
        return sum(map(len, self.parts))

    @property
    def parts(self) -> list[Json]:
        """The pieces of `wire`; data are one of them, not copied."""
        parts: list[Json] = [b'{"id":', _texts(self.id, self.name, b',"name":')]
        for key, raw in ((b"data", self.data), (b"user", self.user)):
            if raw is not None:
                parts += (b',"', key, b'":', raw)
        if self.ts is not None:
            parts.append(b',"ts":%d' % self.ts)
        if self.v is not None:
            parts += (b',"v":', _text(self.v))
        if self.meta is not None:
            parts += (b',"meta":', self.meta)
        parts.append(b"}")
        return parts


def json_array(events: Sequence[Event]) -> list[Json]:
    """The pieces of a JSON array of events. Large data are pieces of their own, not copied."""
    pieces: list[Json] = []
    small: list[Json] = []
    before = b"["
    for event in events:
        small.append(before)
        before = b","
        if event.data is None or len(event.data) < LARGE:
            small.append(event.wire)
            continue
        for part in event.parts:
            if part is event.data:
                pieces += (b"".join(small), part)
                small = []
            else:
                small.append(part)
    small.append(b"]")
    pieces.append(b"".join(small))
    return pieces


def is_environment(text: str) -> bool:
    """Whether the text can be the name of an environment: it is sent in a header."""
    plain = text.isascii() and text.isprintable() and text == text.strip()
    return plain and 0 < len(text) <= MAX_ENVIRONMENT


def _texts(first: str, second: str, separator: bytes) -> bytes:
    """Two texts in one call: it is made twice for each event."""
    try:
        return encode_basestring(first).encode() + separator + encode_basestring(second).encode()
    except UnicodeEncodeError:
        return _text(first) + separator + _text(second)


def _text(value: str) -> bytes:
    # A lone surrogate cannot be encoded as UTF-8, but its escape can. The decoder accepts none,
    # so this is rare.
    try:
        return encode_basestring(value).encode()
    except UnicodeEncodeError:
        return json.dumps(value).encode()
