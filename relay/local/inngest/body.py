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
from urllib.parse import parse_qs

import msgspec

from relay.local.inngest.event import InvalidEvent, ParsedEvent, mismatch, read_event

MAX_EVENTS = 5_000
MAX_EVENT_SIZE = 3_145_728

_SHAPELESS = "Request body must contain an event object or an array of event objects"
_SPACE = re.compile(r"[ \t\r\n]*")
_SURROGATE = re.compile("[\ud800-\udfff]")
_decode = msgspec.json.Decoder().decode


@dataclass(frozen=True, slots=True)
class ParsedBody:
    """The events read, in order, and why reading stopped: None at the end of the body.

    `broken` means that the body stopped being JSON there, or had too many events.
    """

    events: tuple[ParsedEvent, ...]
    error: str | None = None
    broken: bool = False

    @property
    def accepted(self) -> int:
        """How many of the events the server accepts.

        Where a body breaks, the server reads on while it publishes the event before the break:
        in two of three trials it dropped that event, in one of forty it stored it without listing
        its id. Here it is always dropped; a fault can do the rest.
        """
        return max(0, len(self.events) - self.broken)


def read_body(body: bytes, content_type: str = "") -> ParsedBody:
    """Read as many events as the server would. Never raises."""
    events: list[ParsedEvent] = []
    try:
        for value in _elements(body, content_type):
            events.append(read_event(value))  # noqa: PERF401 - what came before an error is kept
    except _Broken as error:
        return ParsedBody(tuple(events), str(error), broken=True)
    except InvalidEvent as error:
        return ParsedBody(tuple(events), str(error))
    except RecursionError:
        return ParsedBody(tuple(events), "invalid character '[' exceeded max depth", broken=True)
    return ParsedBody(tuple(events))


class _Broken(InvalidEvent):
    """The body is not what the server can read on from."""


def _elements(body: bytes, content_type: str) -> Iterator[Any]:
    if content_type.startswith("application/x-www-form-urlencoded"):
        return iter((dict(sorted(parse_qs(body.decode("utf-8", "replace")).items())),))
    if len(body) <= MAX_EVENT_SIZE:
        try:
            whole = _decode(body)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            whole = None
        values = [whole] if type(whole) is dict else whole
        if type(values) is list and len(values) <= MAX_EVENTS:
            repeated = body.count(b'"data"') > len(values)
            return iter(_merged(body) if repeated else values)
    return _Stream(body.decode("utf-8", "replace")).elements()


class _Pairs(list[tuple[str, Any]]):
    """The fields of an object, each as often as it was given."""


def _merged(body: bytes) -> list[Any]:
    """The elements of a well-formed body. Where an event has `data` twice, they become one."""
    whole = json.loads(body, object_pairs_hook=_Pairs)
    return [_event(one) for one in ([whole] if isinstance(whole, _Pairs) else whole)]


def _event(value: Any) -> Any:
    if not isinstance(value, _Pairs):
        return _plain(value)
    fields: dict[str, Any] = {}
    for key, item in value:
        before, now = fields.get(key), _plain(item)
        both = isinstance(before, dict) and isinstance(now, dict)
        fields[key] = {**before, **now} if both else now  # type: ignore[dict-item]  # both are
    return fields


def _plain(value: Any) -> Any:
    if isinstance(value, _Pairs):
        return {key: _plain(item) for key, item in value}
    return [_plain(item) for item in value] if isinstance(value, list) else value


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
            raise _Broken(_SHAPELESS)

    def _single(self) -> Any:
        _check_size(self._text[self._at :])
        try:
            value = self._value()
        except InvalidEvent as error:
            if str(error) == "unexpected EOF":
                raise _Broken("unexpected end of JSON input") from None
            raise
        if self._peek():
            raise _Broken(f"invalid character {self._peek()!r} after top-level value")
        return value

    def _array(self) -> Iterator[Any]:
        count = 0
        # A body may end after an element; what follows the closing bracket is never read.
        while self._peek() not in ("", "]"):
            if count == MAX_EVENTS:
                raise _Broken(f"Cannot have more than {MAX_EVENTS} events in a batch")
            if count:
                self._comma()
            yield self._element()
            count += 1

    def _comma(self) -> None:
        if self._peek() != ",":
            raise _Broken("expected comma after array element")
        self._at += 1
        if not self._peek():
            raise _Broken("EOF")

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
            raise _Broken(_error_message(error)) from None
        except ValueError:
            # An integer of thousands of digits, which is also beyond a double.
            raise _out_of_range() from None
        return _replace_surrogates(value)


def _error_message(error: json.JSONDecodeError) -> str:
    at = _SPACE.match(error.doc, error.pos)
    position = at.end() if at else error.pos
    if position >= len(error.doc) or error.msg.startswith("Unterminated string"):
        return "unexpected EOF"
    key = error.msg.startswith("Expecting property name")
    wanted = "object key string" if key else "value"
    return f"invalid character {error.doc[position]!r} looking for beginning of {wanted}"


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
    raise _Broken(f"invalid character {name[0]!r} looking for beginning of value")


def _out_of_range(digits: str = "") -> InvalidEvent:
    return mismatch(f"number {digits}".rstrip(), "data", "float64")


def _replace_surrogates(value: Any) -> Any:
    """Replace lone surrogates with U+FFFD, as Go does; the decoder has already joined pairs."""
    if isinstance(value, str):
        return value if value.isascii() else _SURROGATE.sub("\ufffd", value)
    if isinstance(value, dict):
        return {_replace_surrogates(key): _replace_surrogates(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_replace_surrogates(item) for item in value]
    return value
