"""The server's own names for events and runs: ULIDs, random or grown from a request's seed."""

from __future__ import annotations

import base64
import binascii
import re

_LETTERS = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_PAIRS = [first + second for first in _LETTERS for second in _LETTERS]
_SHIFTS = range(120, -1, -10)
_SHAPE = re.compile(r"[0-7][0-9A-HJKMNP-TV-Z]{25}", re.IGNORECASE)
_ENTROPY = 10


def ulid(milliseconds: int, entropy: bytes) -> str:
    """The 26 letters of a time in milliseconds since the epoch and ten bytes of entropy."""
    value = (milliseconds << 80) | int.from_bytes(entropy[:_ENTROPY], "big")
    # Two letters at a time: the library's base32 is Python too, and slower.
    return "".join([_PAIRS[(value >> shift) & 1023] for shift in _SHIFTS])


def is_ulid(text: str) -> bool:
    """Whether the text has the shape of a ULID, in any case."""
    return _SHAPE.fullmatch(text) is not None


class Seed:
    """What `x-inngest-event-id-seed` asks for: the same ULIDs for the same request."""

    def __init__(self, milliseconds: int, entropy: bytes) -> None:
        self._milliseconds = milliseconds
        self._head = entropy[:6]
        self._tail = int.from_bytes(entropy[6:], "big")

    def at(self, position: int) -> str:
        """The ULID of the event at this position of the request, 0 for the first."""
        # The server counts from one and lets the last four bytes wrap around.
        tail = (self._tail + position + 1) % 2**32
        return ulid(self._milliseconds, self._head + tail.to_bytes(4, "big"))


def read_seed(header: str) -> Seed | None:
    """The seed of a `<milliseconds>,<base64 of ten bytes>` header; None for any other text.

    A malformed seed is ignored without a word, as the real server does.
    """
    milliseconds, comma, encoded = header.partition(",")
    if not comma or not re.fullmatch(r"\+?[0-9]{1,15}", milliseconds) or int(milliseconds) == 0:
        return None
    try:
        entropy = base64.b64decode(encoded, validate=True)
    except (binascii.Error, ValueError):
        return None
    return Seed(int(milliseconds), entropy) if len(entropy) == _ENTROPY else None
