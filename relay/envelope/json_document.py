"""Parsing of JSON texts: fast for almost all, and with a checking parser for unusual ones."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any, NoReturn

import msgspec
from msgspec import Raw, Struct

from relay.envelope.opened_envelope import InvalidContent

_EXACT = 2**53
"""Integers up to this one are exact in a JSON parser that only has doubles."""

_WHITESPACE = re.compile(r"[ \t\r\n]*")
_SURROGATE = re.compile("[\ud800-\udfff]")
_raw_decode = json.JSONDecoder(parse_int=str, parse_float=str, parse_constant=str).raw_decode

_decode = msgspec.json.Decoder().decode
_encode = msgspec.json.Encoder().encode
_members = msgspec.json.Decoder(dict[str, Raw]).decode
_elements = msgspec.json.Decoder(list[Raw]).decode

_DIGITS = bytes.maketrans(b"123456789", b"000000000")
_SIXTEEN_DIGITS = b"0" * 16
"""An integer beyond 2**53 has at least 16 digits."""


class Document(Struct, frozen=True):
    """A JSON object that has passed all checks.

    `repeated` names the members that occur more than once; their last value is used.
    """

    value: dict[str, Any]
    members: Mapping[str, Raw | bytes]
    notices: tuple[str, ...] = ()
    repeated: frozenset[str] = frozenset()

    def raw(self, name: str) -> bytes | None:
        """The member's value, byte for byte as it was sent; None if it is absent."""
        raw = self.members.get(name)
        return None if raw is None else bytes(raw)


def parse_document(text: bytes) -> Document:
    """Parse an object. The text is valid UTF-8 and not too deep.

    Raises:
        InvalidContent: `not_json`, `not_an_object`, `not_finite` or `number_too_large`.
    """
    value = _parse_fast(text)
    if value is not None:
        return Document(value, _members(text))
    scanned = scan(text.decode())
    if not isinstance(scanned.value, dict):
        raise InvalidContent(
            "not_an_object", "a message must be a JSON object or an array of objects"
        )
    members = scan_members(text.decode())
    return Document(scanned.value, members, scanned.notices, scanned.repeated)


def split_array(text: bytes) -> list[bytes]:
    """The elements of an array, byte for byte. The text is valid UTF-8 and not too deep.

    Elements are not checked, except that they are JSON.

    Raises:
        InvalidContent: `not_json`.
    """
    try:
        return [bytes(raw) for raw in _elements(text)]
    except msgspec.DecodeError:
        return scan_elements(text.decode())


def _parse_fast(text: bytes) -> dict[str, Any] | None:
    """The object if nothing in it must be refused or noticed, which is almost always the case."""
    if _SIXTEEN_DIGITS in text.translate(_DIGITS) or b"\\u003" in text:
        return None
    try:
        value = _decode(text)
    except (ValueError, RecursionError):
        return None
    # Decoding and encoding again loses a colon only for a duplicate key. Colons in strings are
    # kept, and none can be hidden in an escape, which would start with \u003.
    if type(value) is dict and _encode(value).count(b":") == text.count(b":"):
        return value
    return None


class _Scanned(Struct, frozen=True):
    """A JSON text of any type. `repeated` concerns only the outermost object."""

    value: Any
    notices: tuple[str, ...]
    repeated: frozenset[str]


def scan(text: str) -> _Scanned:
    """Parse a whole text with all checks.

    Raises:
        InvalidContent: `not_json`, `not_finite` or `number_too_large`.
    """
    parser = _CheckingParser()
    value = parser.parse(text)
    if parser.fault is not None:
        raise parser.fault
    if "\\u" in text and _SURROGATE.search(json.dumps(value, ensure_ascii=False)):
        parser.notices["lone-surrogate"] = None
    return _Scanned(value, tuple(parser.notices), frozenset(parser.repeated))


def scan_members(text: str) -> dict[str, bytes]:
    """The members of an object in valid JSON, each value byte for byte."""
    return {key: value.encode() for key, value in _pairs(text)}


def scan_elements(text: str) -> list[bytes]:
    """The elements of an array, byte for byte, which may include NaN and the like.

    Raises:
        InvalidContent: `not_json`.
    """
    _CheckingParser().parse(text)
    return [value.encode() for value in _items(text)]


class _CheckingParser:
    """Python's JSON parser with hooks that check every object and every number."""

    def __init__(self) -> None:
        self.notices: dict[str, None] = {}
        self.repeated: set[str] = set()
        self.fault: InvalidContent | None = None

    def parse(self, text: str) -> Any:
        decoder = json.JSONDecoder(
            object_pairs_hook=self._object,
            parse_int=self._integer,
            parse_float=self._float,
            parse_constant=self._constant,
        )
        try:
            return decoder.decode(text)
        except json.JSONDecodeError as error:
            _refuse(error)

    def _object(self, pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        value = dict(pairs)
        # The outermost object ends last, so `repeated` finally concerns only it.
        self.repeated.clear()
        if len(value) != len(pairs):
            self.notices["duplicate-key"] = None
            times = Counter(name for name, _ in pairs)
            self.repeated.update(name for name, count in times.items() if count > 1)
        return value

    def _integer(self, digits: str) -> int | float:
        if abs(approximate := self._float(digits)) < _EXACT:
            return int(digits)
        # Near 2**53 a double is not exact; beyond a double's range Python may refuse to convert.
        if abs(approximate) == float("inf"):
            return approximate
        value = int(digits)
        if abs(value) > _EXACT:
            self.notices["big-integer"] = None
        return value

    def _float(self, digits: str) -> float:
        value = float(digits)
        if abs(value) == float("inf"):
            self._fail("number_too_large", f"{digits[:40]} is beyond what a double can hold")
        return value

    def _constant(self, name: str) -> float:
        self._fail("not_finite", f"{name} is not JSON: send null or a text instead")
        return 0.0

    def _fail(self, code: str, reason: str) -> None:
        self.fault = self.fault or InvalidContent(code, reason)


def _refuse(error: json.JSONDecodeError) -> NoReturn:
    raise InvalidContent(
        "not_json", f"the body is not JSON: {error.msg} at line {error.lineno} column {error.colno}"
    ) from None


def _pairs(text: str) -> Iterator[tuple[str, str]]:
    at = _skip(text, _skip(text, 0) + 1)
    while text[at] != "}":
        key, colon = _raw_decode(text, at)
        start = _skip(text, _skip(text, colon) + 1)
        _, end = _raw_decode(text, start)
        yield key, text[start:end]
        at = _next(text, end)


def _items(text: str) -> Iterator[str]:
    at = _skip(text, _skip(text, 0) + 1)
    while text[at] != "]":
        _, end = _raw_decode(text, at)
        yield text[at:end]
        at = _next(text, end)


def _next(text: str, end: int) -> int:
    """The position of the next member or element, or of the closing bracket."""
    at = _skip(text, end)
    return _skip(text, at + 1) if text[at] == "," else at


def _skip(text: str, at: int) -> int:
    blank = _WHITESPACE.match(text, at)
    return blank.end() if blank else at
