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
_EXPONENT = re.compile("[0-9][eE]")
_LARGE = 16_384
"""Bytes from which no objects are made of what is nested in an object."""

_lenient = json.JSONDecoder(parse_int=str, parse_float=str, parse_constant=str)
_raw_decode = _lenient.raw_decode

_decode = msgspec.json.Decoder().decode
_encode = msgspec.json.Encoder().encode
_members = msgspec.json.Decoder(dict[str, Raw]).decode
_elements = msgspec.json.Decoder(list[Raw]).decode

_DIGITS = bytes.maketrans(b"123456789E", b"000000000e")
_SIXTEEN_DIGITS = b"0" * 16
"""An integer beyond 2**53 has at least 16 digits."""

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
    digits = text.translate(_DIGITS)
    if _SIXTEEN_DIGITS not in digits:
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
    _check_count(len(parts), most)
    return [bytes(raw) for raw in parts]


def _check_count(count: int, most: int | None) -> None:
    if most is None:
        return
    if not count:
        raise InvalidContent("empty_array", "the array contains no event")
    if count > most:
        raise InvalidContent("too_many_events", f"{count} events in one message, more than {most}")


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
    parser = _CheckingParser(text)
    value = parser.parse()
    if parser.fault is not None:
        raise parser.fault
    if "\\u" in text and _SURROGATE.search(json.dumps(value, ensure_ascii=False)):
        parser.notices["lone-surrogate"] = None
    return _Scanned(value, tuple(parser.notices), parser.repeated())


def scan_members(text: str) -> dict[str, bytes]:
    """The members of an object in valid JSON, each value byte for byte."""
    return {key: value.encode() for key, value in _pairs(text)}


def scan_elements(text: str, most: int | None = None) -> list[bytes]:
    """The elements of an array, byte for byte, which may include NaN and the like.

    Raises:
        InvalidContent: `not_json`, `empty_array` or `too_many_events`.
    """
    try:
        count = len(_lenient.decode(text))
    except json.JSONDecodeError as error:
        _refuse(error)
    _check_count(count, most)
    return [value.encode() for value in _items(text)]


class _CheckingParser:
    """Python's JSON parser with hooks that check every object and every unusual number.

    A hook is a call for each number of the text, so numbers are hooked only where the text has a
    number that may fail the check.
    """

    def __init__(self, text: str) -> None:
        self._text = text
        self._pairs: list[tuple[str, Any]] = []
        self.notices: dict[str, None] = {}
        self.fault: InvalidContent | None = None

    def parse(self) -> Any:
        """The value of the whole text."""
        long = _SIXTEEN_DIGITS in self._text.encode().translate(_DIGITS)
        decoder = json.JSONDecoder(
            object_pairs_hook=self._object,
            parse_int=self._integer if long else None,
            parse_float=self._float if long or _EXPONENT.search(self._text) else None,
            parse_constant=self._constant,
        )
        try:
            return decoder.decode(self._text)
        except json.JSONDecodeError as error:
            _refuse(error)

    def repeated(self) -> frozenset[str]:
        """The members that occur more than once in the outermost object, which ends last."""
        times = Counter(name for name, _ in self._pairs)
        return frozenset(name for name, count in times.items() if count > 1)

    def _object(self, pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        value = dict(pairs)
        if len(value) != len(pairs):
            self.notices["duplicate-key"] = None
            self._pairs = pairs
        elif self._pairs:
            self._pairs = []
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
