"""Keys: an event's id in the form in which a destination can take it.

Pure, and the same for ever: a key that changed would let everything run again. Where a destination
is choosy about characters or length the id is hashed, and not only when it does not fit: an id that
looks like another one's hash must not become the same key.
"""

from __future__ import annotations

import hashlib
import re

PREFIX = "relay"
DIGITS = 40
"""Hex digits of SHA-256 that are kept, 160 bits."""

_HEADER = re.compile(r"[!-~]([ -~]{0,254}[!-~])?")
_TEXT_BYTES = 255


def hashed(event_id: str) -> str:
    """46 lowercase letters, digits and one hyphen: a Kubernetes name, a Step Functions name."""
    digest = hashlib.sha256(event_id.encode("utf-8", "surrogatepass")).hexdigest()
    return f"{PREFIX}-{digest[:DIGITS]}"


def as_text(event_id: str) -> str:
    """The id itself where every system takes it as text, of 255 bytes at most; else its hash.

    An id that begins like a hash is hashed too, so that no two ids have one key.
    """
    encoded = event_id.encode("utf-8", "surrogatepass")
    plain = event_id.isprintable() and 0 < len(encoded) <= _TEXT_BYTES
    return event_id if plain and not event_id.startswith(f"{PREFIX}-") else hashed(event_id)


def as_header(event_id: str) -> str:
    """The id itself where it can be an HTTP header's value, else its hash."""
    fits = _HEADER.fullmatch(event_id)
    return event_id if fits and not event_id.startswith(f"{PREFIX}-") else hashed(event_id)
