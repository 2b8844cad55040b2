"""The checking parser: slower, for JSON texts in which something must be refused or noticed."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator
from typing import Any, NoReturn

from msgspec import Struct

from relay.envelope.opened_envelope import InvalidContent

_EXACT = 2**53
"""Integers up to this one are exact in a JSON parser that only has doubles."""

ZERO_DIGITS = bytes.maketrans(b"123456789E", b"000000000e")
"""All digits as zeros, and both letters of an exponent as one."""

SIXTEEN_DIGITS = b"0" * 16
"""An integer beyond 2**53 has at least 16 digits."""

_WHITESPACE = re.compile(r"[ \t\r\n]*")
_SURROGATE = re.compile("[\ud800-\udfff]")
_EXPONENT = re.compile("[0-9][eE]")
_lenient = json.JSONDecoder(parse_int=str, parse_float=str, parse_constant=str)
_raw_decode = _lenient.raw_decode


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
    check_count(count, most)
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
        long = SIXTEEN_DIGITS in self._text.encode().translate(ZERO_DIGITS)
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


def check_count(count: int, most: int | None) -> None:
    """Check the length of an array, which has at least one element and at most so many.

    Raises:
        InvalidContent: `empty_array` or `too_many_events`.
    """
    if most is None:
        return
    if not count:
        raise InvalidContent("empty_array", "the array contains no event")
    if count > most:
        raise InvalidContent("too_many_events", f"{count} events in one message, more than {most}")


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
