"""Validates one event as the server does, and converts its data to what functions see.

The error messages are those of the real server, which is written in Go: the relay has to interpret
them.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

EARLIEST = 315_532_800_000
"""January 1st, 1980 in milliseconds. A time in seconds is earlier than this, so it is rejected."""
LATEST = 4_102_444_800_000
"""January 1st, 2100 in milliseconds."""

_FIELDS = frozenset({"id", "name", "data", "user", "ts", "v"})
_EXACT = 2**53
_INT64 = 2**63
_encode = msgspec.json.Encoder(order="sorted").encode


class InvalidEvent(ValueError):
    """An event that the server rejects; the text is the `error` of its response."""


@dataclass(frozen=True, slots=True)
class ParsedEvent:
    """A valid event. `data` and `user` are JSON as functions see it; `ts` is None for "now"."""

    name: str
    id: str | None
    data: bytes
    user: bytes
    ts: int | None
    v: str | None


def read_event(value: Any) -> ParsedEvent:
    """Validate one decoded element of a request.

    Raises:
        InvalidEvent: with the server's error message.
    """
    fields = _fields(value)
    name = _text(fields, "name") or ""
    event_id, version = _text(fields, "id"), _text(fields, "v")
    data, user = _object(fields, "data"), _object(fields, "user")
    ts = _milliseconds(fields.get("ts"))
    if name[:8].lower() == "inngest/":
        raise InvalidEvent(f"event name is reserved for internal use: {name}")
    if not name:
        raise InvalidEvent("event name is empty")
    _check_range(ts)
    if data is not None:
        data = {key: item for key, item in data.items() if key != "_inngest"}
    return ParsedEvent(
        name=name,
        id=event_id or None,
        data=_encode(as_seen(data, "data")),
        user=_encode(as_seen(user or {}, "user")),
        ts=ts or None,
        v=version or None,
    )


def as_seen(value: Any, field: str = "data") -> Any:
    """The value after a conversion to doubles: integers past 2^53 lose their last digits."""
    kind = type(value)
    if kind is str or value is None or kind is bool:
        return value
    if kind is int:
        return value if -_EXACT <= value <= _EXACT else _double(value, field)
    if kind is float:
        return int(value) if value.is_integer() and abs(value) <= _EXACT else value
    if kind is dict:
        return {key: as_seen(item, field) for key, item in value.items()}
    return [as_seen(item, field) for item in value]


def _double(value: int, field: str) -> int | float:
    try:
        seen = float(value)
    except OverflowError:
        seen = math.inf
    if math.isinf(seen):
        raise InvalidEvent(_mismatch("number", field, "float64"))
    # A Go encoder writes plain digits up to 1e21 and an exponent beyond.
    return int(seen) if abs(seen) < 1e21 else seen  # noqa: PLR2004 - explained above


def _fields(value: Any) -> Mapping[str, Any]:
    if value is None:
        return {}
    if type(value) is not dict:
        raise InvalidEvent(
            f"json: cannot unmarshal {_kind(value)} into Go value of type event.Event"
        )
    if value.keys() <= _FIELDS:
        return value
    # Go matches field names case-insensitively and drops unknown fields.
    return {key.lower(): item for key, item in value.items() if key.lower() in _FIELDS}


def _text(fields: Mapping[str, Any], name: str) -> str | None:
    value = fields.get(name)
    if value is None or type(value) is str:
        return value
    raise InvalidEvent(_mismatch(_kind(value), name, "string"))


def _object(fields: Mapping[str, Any], name: str) -> dict[str, Any] | None:
    value = fields.get(name)
    if value is None or type(value) is dict:
        return value
    raise InvalidEvent(_mismatch(_kind(value), name, "map[string]interface {}"))


def _milliseconds(value: Any) -> int | None:
    if value is None or (type(value) is int and -_INT64 <= value < _INT64):
        return value
    shown = f"number {value}" if type(value) in (int, float) else _kind(value)
    raise InvalidEvent(_mismatch(shown, "ts", "int64"))


def _check_range(ts: int | None) -> None:
    if ts and ts < EARLIEST:
        raise InvalidEvent("timestamp is before Jan 1, 1980")
    if ts and ts > LATEST:
        raise InvalidEvent("timestamp is after Jan 1, 2100")


def _mismatch(shown: str, field: str, wanted: str) -> str:
    return f"json: cannot unmarshal {shown} into Go struct field Event.{field} of type {wanted}"


def _kind(value: Any) -> str:
    if isinstance(value, bool):
        return "bool"
    if isinstance(value, int | float):
        return "number"
    if isinstance(value, str):
        return "string"
    return "array" if isinstance(value, list) else "object"
