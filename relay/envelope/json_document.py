"""The careful reader, for the few texts that are not ordinary: it tells what is odd about them."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any, NoReturn

import msgspec
from msgspec import Raw, Struct

from relay.envelope.opened_envelope import InvalidContent

EXACT = 2**53
"""Integers up to here survive a JSON parser that knows doubles only."""

_BLANKS = re.compile(r"[ \t\r\n]*")
_SURROGATE = re.compile("[\ud800-\udfff]")
_slices = json.JSONDecoder(parse_int=str, parse_float=str, parse_constant=str).raw_decode


class Scanned(Struct, frozen=True):
    """A JSON text of any type; `repeated` is about the outermost object only."""

    value: Any
    notices: tuple[str, ...]
    repeated: frozenset[str]


def scan(text: str) -> Scanned:
    """Read a whole text.

    Raises:
        InvalidContent: `not_json`, `not_finite` or `number_too_large`.
    """
    reader = _Reader()
    value = reader.read(text)
    if reader.fault is not None:
        raise reader.fault
    if "\\u" in text and _SURROGATE.search(json.dumps(value, ensure_ascii=False)):
        reader.notices["lone-surrogate"] = None
    return Scanned(value, tuple(reader.notices), frozenset(reader.repeated))


def scanned_members(text: str) -> dict[str, bytes]:
    """The members of an object that is known to be JSON, each value byte for byte."""
    return {key: value.encode() for key, value in _pairs(text)}


def scanned_elements(text: str) -> list[bytes]:
    """The elements of an array, byte for byte, NaN and such among them.

    Raises:
        InvalidContent: `not_json`.
    """
    _Reader().read(text)
    return [value.encode() for value in _items(text)]


class _Reader:
    """Python's parser with its hooks: it tells of each object's pairs and of each number."""

    def __init__(self) -> None:
        self.notices: dict[str, None] = {}
        self.repeated: set[str] = set()
        self.fault: InvalidContent | None = None

    def read(self, text: str) -> Any:
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
        # The outermost object ends last, so what stays in `repeated` is about it.
        self.repeated.clear()
        if len(value) != len(pairs):
            self.notices["duplicate-key"] = None
            times = Counter(name for name, _ in pairs)
            self.repeated.update(name for name, count in times.items() if count > 1)
        return value

    def _integer(self, digits: str) -> int | float:
        if abs(approximate := self._float(digits)) < EXACT:
            return int(digits)
        # Near 2**53 a double cannot tell; beyond a double, Python may refuse to convert.
        if abs(approximate) == float("inf"):
            return approximate
        value = int(digits)
        if abs(value) > EXACT:
            self.notices["big-integer"] = None
        return value

    def _float(self, digits: str) -> float:
        value = float(digits)
        if abs(value) == float("inf"):
            self._note("number_too_large", f"{digits[:40]} is beyond what a double can hold")
        return value

    def _constant(self, name: str) -> float:
        self._note("not_finite", f"{name} is no JSON: send null or a text instead")
        return 0.0

    def _note(self, code: str, reason: str) -> None:
        self.fault = self.fault or InvalidContent(code, reason)


def _refuse(error: json.JSONDecodeError) -> NoReturn:
    raise InvalidContent(
        "not_json", f"the body is not JSON: {error.msg} at line {error.lineno} column {error.colno}"
    ) from None


def _pairs(text: str) -> Iterator[tuple[str, str]]:
    at = _skip(text, _skip(text, 0) + 1)
    while text[at] != "}":
        key, colon = _slices(text, at)
        start = _skip(text, _skip(text, colon) + 1)
        _, end = _slices(text, start)
        yield key, text[start:end]
        at = _next(text, end)


def _items(text: str) -> Iterator[str]:
    at = _skip(text, _skip(text, 0) + 1)
    while text[at] != "]":
        _, end = _slices(text, at)
        yield text[at:end]
        at = _next(text, end)


def _next(text: str, end: int) -> int:
    """Where the next member or element starts, or the closing bracket is."""
    at = _skip(text, end)
    return _skip(text, at + 1) if text[at] == "," else at


def _skip(text: str, at: int) -> int:
    blank = _BLANKS.match(text, at)
    return blank.end() if blank else at


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
        InvalidContent: `not_json`, `not_an_object`, `not_finite` or `number_too_large`.
    """
    value = _ordinary(text)
    if value is not None:
        return Document(value, _members(text))
    scanned = scan(text.decode())
    if not isinstance(scanned.value, dict):
        raise InvalidContent("not_an_object", "a message is a JSON object or an array of them")
    members = scanned_members(text.decode())
    return Document(scanned.value, members, scanned.notices, scanned.repeated)


def split_array(text: bytes) -> list[bytes]:
    """The elements of an array, byte for byte. The text is UTF-8 and not too deep.

    What is wrong inside one element does not matter yet, except what makes it no JSON.

    Raises:
        InvalidContent: `not_json`.
    """
    try:
        return [bytes(raw) for raw in _elements(text)]
    except msgspec.DecodeError:
        return scanned_elements(text.decode())


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
