"""Reads the events of a request body, up to the first invalid one, as the server does.

A well-formed body is decoded at once. Any other body is parsed as a stream, as on the real server:
the result depends on where it is malformed and on the events before that.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NoReturn

import msgspec

from relay.local.inngest.event import InvalidEvent, ParsedEvent, read_event

MAX_EVENTS = 5_000
MAX_EVENT_SIZE = 3_145_728

_SHAPELESS = "Request body must contain an event object or an array of event objects"
_SPACE = re.compile(r"[ \t\r\n]*")
_SURROGATE = re.compile("[\ud800-\udfff]")
_decode = msgspec.json.Decoder().decode


@dataclass(frozen=True, slots=True)
class ParsedBody:
    """The events read, in order, and why reading stopped: None at the end of the body."""

    events: tuple[ParsedEvent, ...]
    error: str | None = None


def read_body(body: bytes) -> ParsedBody:
    """Read as many events as the server would. Never raises."""
    events: list[ParsedEvent] = []
    try:
        for value in _elements(body):
            events.append(read_event(value))  # noqa: PERF401 - what came before an error is kept
    except InvalidEvent as error:
        return ParsedBody(tuple(events), str(error))
    except RecursionError:
        return ParsedBody(tuple(events), "json: exceeded max depth")
    except _TooMany as error:
        # Measured: the last allowed event is dropped together with the first one too many.
        return ParsedBody(tuple(events[:-1]), str(error))
    return ParsedBody(tuple(events))


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
    """Parses a text as a stream and stops where the real server's decoder stops."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self._decoder = json.JSONDecoder(parse_float=_float, parse_constant=_no_constant)

    def elements(self) -> Iterator[Any]:
        first = self._peek()
        if first == "{":
            yield self._single()
        elif first == "[":
            self._at += 1
            yield from self._array()
        elif first:
            raise InvalidEvent(_SHAPELESS)

    def _single(self) -> Any:
        _check_size(self._text[self._at :])
        try:
            value = self._value()
        except InvalidEvent as error:
            if str(error) == "unexpected EOF":
                raise InvalidEvent("unexpected end of JSON input") from None
            raise
        if self._peek():
            raise InvalidEvent(f"invalid character {self._peek()!r} after top-level value")
        return value

    def _array(self) -> Iterator[Any]:
        count = 0
        # A body may end after an element; what follows the closing bracket is never read.
        while self._peek() not in ("", "]"):
            if count == MAX_EVENTS:
                raise _TooMany(f"Cannot have more than {MAX_EVENTS} events in a batch")
            if count:
                self._comma()
            yield self._element()
            count += 1

    def _comma(self) -> None:
        if self._peek() != ",":
            raise InvalidEvent("expected comma after array element")
        self._at += 1
        if not self._peek():
            raise InvalidEvent("EOF")

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
        except InvalidEvent:
            raise
        except json.JSONDecodeError as error:
            raise InvalidEvent(_error_message(error)) from None
        except ValueError:
            # An integer of thousands of digits, which is also beyond a double.
            raise _out_of_range() from None
        return _replace_surrogates(value)


def _error_message(error: json.JSONDecodeError) -> str:
    at = _SPACE.match(error.doc, error.pos)
    position = at.end() if at else error.pos
    if position >= len(error.doc) or error.msg.startswith("Unterminated string"):
        return "unexpected EOF"
    return f"invalid character {error.doc[position]!r} looking for beginning of value"


def _check_size(text: str) -> None:
    size = len(text) if text.isascii() else len(text.encode("utf-8", "surrogatepass"))
    if size > MAX_EVENT_SIZE:
        raise InvalidEvent(
            f"Event is over the max size: Max {MAX_EVENT_SIZE} bytes / Size {size} bytes"
        )


def _float(digits: str) -> float:
    value = float(digits)
    if value in (float("inf"), float("-inf")):
        raise _out_of_range(digits)
    return value


def _no_constant(name: str) -> NoReturn:
    raise InvalidEvent(f"invalid character {name[0]!r} looking for beginning of value")


def _out_of_range(digits: str = "") -> InvalidEvent:
    shown = f"number {digits}".rstrip()
    return InvalidEvent(
        f"json: cannot unmarshal {shown} into Go struct field Event.data of type float64"
    )


def _replace_surrogates(value: Any) -> Any:
    """Replace lone surrogates with U+FFFD, as Go does; the decoder has already joined pairs."""
    if isinstance(value, str):
        return value if value.isascii() else _SURROGATE.sub("\ufffd", value)
    if isinstance(value, dict):
        return {_replace_surrogates(key): _replace_surrogates(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_replace_surrogates(item) for item in value]
    return value
