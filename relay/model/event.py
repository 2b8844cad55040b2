"""An event: what a destination receives."""

from __future__ import annotations

import json
from json.encoder import encode_basestring  # what `dumps` calls, without making an encoder first

from msgspec import Struct

ENVIRONMENT = "x-inngest-env"
"""The name of the header, and of the message attribute, with the environment of the events."""

MAX_ENVIRONMENT = 256
"""Characters of an environment's name."""


class Event(Struct, frozen=True):
    """One event of a message, ready to be sent to a destination.

    `data`, `user` and `meta` are the producer's JSON text, byte for byte, or None if it sent none.
    `ts` is in milliseconds. `index` is the event's position in the message as first received, 0 for
    a single event. It survives dead-lettering: a redrive sends only the pending positions. `trace`
    is the producer's W3C `traceparent`, if it sent one. `env` is the Inngest environment that the
    producer sent it to, None for the one that the settings name.
    """

    id: str
    name: str
    data: bytes | None = None
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
        parts = [b'{"id":', _texts(self.id, self.name, b',"name":')]
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
        return b"".join(parts)

    @property
    def size(self) -> int:
        """The bytes of `wire`, without encoding all of it."""
        size = _BRACES + len(_texts(self.id, self.name, b""))
        for raw in (self.data, self.user, self.meta):
            if raw is not None:
                size += _KEY + len(raw)
        if self.ts is not None:
            size += len(b',"ts":%d' % self.ts)
        if self.v is not None:
            size += len(b',"v":') + len(_text(self.v))
        return size


_BRACES = len(b'{"id":,"name":}')
_KEY = len(b',"data":')
"""Bytes of the key of each member with JSON text; all three have four letters."""


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
