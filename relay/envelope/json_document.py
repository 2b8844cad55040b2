"""Parsing of JSON objects and arrays, fast unless the text is unusual."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import msgspec
from msgspec import Raw, Struct

from relay.envelope.checking_parser import (
    SIXTEEN_DIGITS,
    ZERO_DIGITS,
    check_count,
    scan,
    scan_elements,
    scan_members,
)
from relay.envelope.opened_envelope import InvalidContent
from relay.model.event import LARGE, Json

_LARGE = 16_384
"""Bytes from which no objects are made of what is nested in an object."""

_decode = msgspec.json.Decoder().decode
_encode = msgspec.json.Encoder().encode
_members = msgspec.json.Decoder(dict[str, Raw]).decode
_elements = msgspec.json.Decoder(list[Raw]).decode

_LONG_INTEGER = re.compile(rb"[-:,[\s]0{16}")
"""The start of a number with 16 digits before its point, when all digits are zeros."""

_HUGE_EXPONENT = re.compile(rb"0e[+]?000+[],}\s]")
"""The end of a number with an exponent of three digits, when all digits are zeros. Only such a
number can be beyond a double's range, unless it has 16 digits before its point."""


class Document(Struct, frozen=True):
    """A JSON object that has passed all checks.

    `value` has the values of its members. In a large object, those that are objects and arrays are
    `Raw`: they are valid, but making Python objects of them would take most of the time, and hardly
    anything needs them. `repeated` names the members that occur more than once; their last value is
    used.
    """

    value: dict[str, Any]
    members: Mapping[str, Raw | bytes]
    notices: tuple[str, ...] = ()
    repeated: frozenset[str] = frozenset()

    def raw(self, name: str) -> bytes | None:
        """The member's value, byte for byte as it was sent; None if it is absent."""
        raw = self.members.get(name)
        return None if raw is None else bytes(raw)

    def view(self, name: str) -> Json | None:
        """The same without a copy of a large value, which then keeps the whole text alive."""
        raw = self.members.get(name)
        if raw is None:
            return None
        view = memoryview(raw)
        return view if len(view) >= LARGE else bytes(view)

    def nested(self, name: str) -> Any:
        """The member's value with all that is nested in it; None if it is absent."""
        return _whole(self.value.get(name))

    def complete(self) -> dict[str, Any]:
        """All members, with all that is nested in them."""
        return {name: _whole(value) for name, value in self.value.items()}


def parse_document(text: bytes, large: int = _LARGE) -> Document:
    """Parse an object. The text is valid UTF-8 and not too deep.

    In an object of at least `large` bytes, repeated keys are noticed in the outermost object only.

    Raises:
        InvalidContent: `not_json`, `not_an_object`, `not_finite` or `number_too_large`.
    """
    digits = text.translate(ZERO_DIGITS)
    if SIXTEEN_DIGITS not in digits or not _LONG_INTEGER.search(digits):
        is_large = len(text) >= large and not _HUGE_EXPONENT.search(digits)
        del digits  # as large as the text
        document = (_parse_large if is_large else _parse_small)(text)
        if document is not None:
            return document
    scanned = scan(text.decode())
    if not isinstance(scanned.value, dict):
        raise InvalidContent(
            "not_an_object", "a message must be a JSON object or an array of objects"
        )
    return Document(scanned.value, _split_object(text), scanned.notices, scanned.repeated)


def split_array(text: bytes, most: int | None = None) -> list[bytes]:
    """The elements of an array, byte for byte. The text is valid UTF-8 and not too deep.

    Elements are not checked, except that they are JSON. With `most` there must be at least one and
    at most so many; they are counted before any is copied.

    Raises:
        InvalidContent: `not_json`, `empty_array` or `too_many_events`.
    """
    try:
        parts = _elements(text)
    except msgspec.DecodeError:
        return scan_elements(text.decode(), most)
    check_count(len(parts), most)
    return [bytes(raw) for raw in parts]


def _split_object(text: bytes) -> Mapping[str, Raw | bytes]:
    """The members of an object in valid JSON; the fast parser fails for half a surrogate pair."""
    try:
        return _members(text)
    except msgspec.DecodeError:
        return scan_members(text.decode())


def _parse_small(text: bytes) -> Document | None:
    """The object if nothing in it must be refused or noticed, which is almost always the case."""
    try:
        value = _decode(text)
    except (ValueError, RecursionError):
        return None
    if type(value) is dict and _has_all_colons(_encode(value), text):
        return Document(value, _members(text))
    return None


def _parse_large(text: bytes) -> Document | None:
    """The same for an object whose numbers are all finite."""
    try:
        members = _members(text)
    except (ValueError, RecursionError):
        return None
    # Without blanks, escapes and repeated keys the members take the same bytes as before.
    again = _encode(members)
    if len(again) != len(text) and not _has_all_colons(again, text):
        return None
    return Document({name: _shallow(raw) for name, raw in members.items()}, members)


def _has_all_colons(again: bytes, text: bytes) -> bool:
    """Whether decoding and encoding again has lost no colon, and so no repeated member."""
    # Colons in strings are kept, and none can be hidden in an escape, which would start with \u003.
    return b"\\u003" not in text and again.count(b":") == text.count(b":")


def _shallow(raw: Raw) -> Any:
    return raw if memoryview(raw)[0] in b"{[" else _decode(raw)


def _whole(value: Any) -> Any:
    return _decode(value) if type(value) is Raw else value
