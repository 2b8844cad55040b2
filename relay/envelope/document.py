"""One JSON object: its values to decide by, and its members' own text to pass on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
from msgspec import Raw, Struct

from relay.envelope import scan
from relay.envelope.unfit import Unfit

_value = msgspec.json.Decoder().decode
_again = msgspec.json.Encoder().encode
_members = msgspec.json.Decoder(dict[str, Raw]).decode
_elements = msgspec.json.Decoder(list[Raw]).decode

_DIGITS = bytes.maketrans(b"123456789", b"000000000")
_LONG = b"0" * 16
"""An integer beyond 2**53 has at least 16 digits."""


class Document(Struct, frozen=True):
    """A JSON object that has passed every check of its text.

    `repeated` names members that occurred more than once; the last one's value counts.
    """

    value: dict[str, Any]
    members: Mapping[str, Raw | bytes]
    notices: tuple[str, ...] = ()
    repeated: frozenset[str] = frozenset()

    def text(self, name: str) -> bytes | None:
        """The member's value, byte for byte as it was sent; None where it is absent."""
        raw = self.members.get(name)
        return None if raw is None else bytes(raw)


def document(text: bytes) -> Document:
    """Read an object. The text is UTF-8 and not too deep.

    Raises:
        Unfit: `not_json`, `not_an_object`, `not_finite` or `number_too_large`.
    """
    value = _ordinary(text)
    if value is not None:
        return Document(value, _members(text))
    scanned = scan.scanned(text.decode())
    if not isinstance(scanned.value, dict):
        raise Unfit("not_an_object", "a message is a JSON object or an array of them")
    members = scan.members(text.decode())
    return Document(scanned.value, members, scanned.notices, scanned.repeated)


def elements(text: bytes) -> list[bytes]:
    """The elements of an array, byte for byte. The text is UTF-8 and not too deep.

    What is wrong inside one element does not matter yet, except what makes it no JSON.

    Raises:
        Unfit: `not_json`.
    """
    try:
        return [bytes(raw) for raw in _elements(text)]
    except msgspec.DecodeError:
        return scan.elements(text.decode())


def _ordinary(text: bytes) -> dict[str, Any] | None:
    """The object, if there is nothing in it to refuse or to notice; almost always, and fast."""
    if _LONG in text.translate(_DIGITS) or b"\\u003" in text:
        return None
    try:
        value = _value(text)
    except (msgspec.DecodeError, RecursionError):
        return None
    # Only a duplicate key makes a colon vanish on the way through a dict: those in strings stay,
    # and none can hide behind an escape, which starts with \u003.
    if type(value) is dict and _again(value).count(b":") == text.count(b":"):
        return value
    return None
