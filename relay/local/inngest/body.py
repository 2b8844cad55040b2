"""What the server takes from a request's body: events one after the other, until the first bad one.

A body that is well-formed throughout is decoded at once. Anything else goes through the same
streaming as on the real server, since what counts is where it breaks and what came before.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NoReturn

import msgspec

from relay.local.inngest.event import Incoming, Refusal, read_event

MAX_EVENTS = 5_000
MAX_EVENT_SIZE = 3_145_728

_SHAPELESS = "Request body must contain an event object or an array of event objects"
_SPACE = re.compile(r"[ \t\r\n]*")
_SURROGATE = re.compile("[\ud800-\udfff]")
_decode = msgspec.json.Decoder().decode


@dataclass(frozen=True, slots=True)
class Intake:
    """The events that were read in order, and why reading stopped: None at the end of the body."""

    events: tuple[Incoming, ...]
    error: str | None = None


def read_body(body: bytes) -> Intake:
    """Read as many events as the server would. Never raises."""
    events: list[Incoming] = []
    try:
        for value in _elements(body):
            events.append(read_event(value))  # noqa: PERF401 - what came before an error is kept
    except Refusal as refusal:
        return Intake(tuple(events), str(refusal))
    except RecursionError:
        return Intake(tuple(events), "json: exceeded max depth")
    except _TooMany as error:
        # Measured: the last event of the allowed ones is given up together with the first beyond.
        return Intake(tuple(events[:-1]), str(error))
    return Intake(tuple(events))


class _TooMany(Exception):
    pass


def _elements(body: bytes) -> Iterator[Any]:
    if len(body) <= MAX_EVENT_SIZE:
        try:
            whole = _decode(body)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            whole = None
        if type(whole) is dict:
            return iter((whole,))
        if type(whole) is list and len(whole) <= MAX_EVENTS:
            return iter(whole)
    return _Stream(body.decode("utf-8", "replace")).elements()


class _Stream:
    """A reader of one text that stops where the real server's decoder stops."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self._decoder = json.JSONDecoder(parse_float=_float, parse_constant=_no_constant)

    def elements(self) -> Iterator[Any]:
        first = self._peek()
        if first == "{":
            yield self._alone()
        elif first == "[":
            self._at += 1
            yield from self._array()
        elif first:
            raise Refusal(_SHAPELESS)

    def _alone(self) -> Any:
        _check_size(self._text[self._at :])
        try:
            value = self._value()
        except Refusal as refusal:
            if str(refusal) == "unexpected EOF":
                raise Refusal("unexpected end of JSON input") from None
            raise
        if self._peek():
            raise Refusal(f"invalid character {self._peek()!r} after top-level value")
        return value

    def _array(self) -> Iterator[Any]:
        count = 0
        # A body that ends after an element is a success; what follows the bracket is never read.
        while self._peek() not in ("", "]"):
            if count == MAX_EVENTS:
                raise _TooMany(f"Cannot have more than {MAX_EVENTS} events in a batch")
            if count:
                self._comma()
            yield self._element()
            count += 1

    def _comma(self) -> None:
        if self._peek() != ",":
            raise Refusal("expected comma after array element")
        self._at += 1
        if not self._peek():
            raise Refusal("EOF")

    def _element(self) -> Any:
        self._peek()
        start = self._at
        value = self._value()
        _check_size(self._text[start : self._at])
        return value

    def _peek(self) -> str:
        space = _SPACE.match(self._text, self._at)
        self._at = space.end() if space else self._at
        return self._text[self._at : self._at + 1]

    def _value(self) -> Any:
        try:
            value, self._at = self._decoder.raw_decode(self._text, self._at)
        except Refusal:
            raise
        except json.JSONDecodeError as error:
            raise Refusal(_sentence(error)) from None
        except ValueError:
            # An integer of thousands of digits, which has no room in a double either.
            raise _out_of_range() from None
        return _scrub(value)


def _sentence(error: json.JSONDecodeError) -> str:
    at = _SPACE.match(error.doc, error.pos)
    position = at.end() if at else error.pos
    if position >= len(error.doc) or error.msg.startswith("Unterminated string"):
        return "unexpected EOF"
    return f"invalid character {error.doc[position]!r} looking for beginning of value"


def _check_size(text: str) -> None:
    size = len(text) if text.isascii() else len(text.encode("utf-8", "surrogatepass"))
    if size > MAX_EVENT_SIZE:
        raise Refusal(f"Event is over the max size: Max {MAX_EVENT_SIZE} bytes / Size {size} bytes")


def _float(digits: str) -> float:
    value = float(digits)
    if value in (float("inf"), float("-inf")):
        raise _out_of_range(digits)
    return value


def _no_constant(name: str) -> NoReturn:
    raise Refusal(f"invalid character {name[0]!r} looking for beginning of value")


def _out_of_range(digits: str = "") -> Refusal:
    shown = f"number {digits}".rstrip()
    return Refusal(
        f"json: cannot unmarshal {shown} into Go struct field Event.data of type float64"
    )


def _scrub(value: Any) -> Any:
    """Lone surrogates become U+FFFD, as in Go; pairs were joined by the decoder already."""
    if isinstance(value, str):
        return value if value.isascii() else _SURROGATE.sub("\ufffd", value)
    if isinstance(value, dict):
        return {_scrub(key): _scrub(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_scrub(item) for item in value]
    return value
