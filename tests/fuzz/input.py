"""Splits one fuzz input into typed values, so that an input can be kept, read and replayed."""

from __future__ import annotations

SEPARATOR = b"\x1f"
"""The ASCII unit separator: rare in what the parsers read, and SQS accepts it nowhere."""


class Input:
    """Takes values from the front of the input. At its end every value is empty."""

    def __init__(self, data: bytes) -> None:
        self._parts = iter(data.split(SEPARATOR))

    def raw(self) -> bytes:
        """The next part."""
        return next(self._parts, b"")

    def text(self) -> str:
        """The next part as text. Bytes that are not UTF-8 become lone surrogates."""
        return self.raw().decode(errors="surrogateescape")

    def number(self, below: int) -> int:
        """A number from 0 to `below` - 1."""
        return sum(self.raw()) % below

    def pairs(self) -> dict[str, str]:
        """The rest of the input as names and values."""
        found = {}
        for name in self._parts:
            found[name.decode(errors="surrogateescape")] = self.text()
        return found


def joined(*parts: bytes | str) -> bytes:
    """The input whose parts these are."""
    return SEPARATOR.join(part.encode() if isinstance(part, str) else part for part in parts)
