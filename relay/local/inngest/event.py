"""Validates one event as the server does, and converts its data to what functions see.

The error messages are those of the real server, which is written in Go: the relay has to interpret
them.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import msgspec

from relay.local.inngest.meta import Meta, read_meta

EARLIEST = 315_532_800_000
"""January 1st, 1980 in milliseconds. A time in seconds is earlier than this, so it is rejected."""
LATEST = 4_102_444_800_000
"""January 1st, 2100 in milliseconds."""

RESERVED = "inngest/"
_EXACT = 2**53
_INT64 = 2**63
_NANOSECONDS = 1_000_000
_encode = msgspec.json.Encoder(order="sorted").encode


class InvalidEvent(ValueError):
    """An event that the server rejects; the text is the `error` of its response."""


@dataclass(frozen=True, slots=True)
class ParsedEvent:
    """A valid event. `data` and `user` are JSON as functions see it; `ts` is None for "now".

    `meta` is what functions get of the event's sessions; None for none.
    """

    name: str
    id: str | None
    data: bytes
    user: bytes
    ts: int | None
    v: str | None
    meta: dict[str, Any] | None = None


def read_event(value: Any) -> ParsedEvent:
    """Validate one decoded element of a request.

    Raises:
        InvalidEvent: with the server's error message.
    """
    fields = _fields(value)
    name, ts, meta = fields.get("name") or "", fields.get("ts"), fields.get("meta")
    _check_name(name)
    if ts:
        _check_range(ts)
    if meta is not None and (error := meta.error()):
        raise InvalidEvent(error)
    data, user = fields.get("data"), fields.get("user")
    if data and "_inngest" in data:
        data = {key: item for key, item in data.items() if key != "_inngest"}
    return ParsedEvent(
        name=name,
        id=fields.get("id") or None,
        data=_encode(as_seen(data, "data")),
        user=_encode(as_seen(user, "user")) if user else b"{}",
        ts=ts or None,
        v=fields.get("v") or None,
        meta=meta.delivered() if meta else None,
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


def mismatch(shown: str, field: str, wanted: str) -> InvalidEvent:
    """The error of a field that has another type."""
    return InvalidEvent(
        f"json: cannot unmarshal {shown} into Go struct field raw.{field} of type {wanted}"
    )


def _double(value: int, field: str) -> int | float:
    try:
        seen = float(value)
    except OverflowError:
        seen = math.inf
    if math.isinf(seen):
        raise mismatch("number", field, "float64")
    # A Go encoder writes the shortest digits and zeros up to 1e21, and an exponent beyond.
    return int(Decimal(repr(seen))) if abs(seen) < 1e21 else seen  # noqa: PLR2004 - see above


def _fields(value: Any) -> Mapping[str, Any]:
    if value is None:
        return {}
    if type(value) is not dict:
        raise InvalidEvent(f"json: cannot unmarshal {_kind(value)} into Go value of type event.raw")
    fields: dict[str, Any] = {}
    for key, item in value.items():
        # Go matches field names case-insensitively and drops unknown fields.
        name = key if key in _READERS else key.lower()
        if (reader := _READERS.get(name)) is not None:
            fields[name] = reader(name, item, fields.get(name))
    return fields


def _text(name: str, value: Any, before: Any) -> str | None:
    if type(value) is str:
        return value
    if value is None:
        return before  # type: ignore[no-any-return]  # a null changes nothing
    raise mismatch(_kind(value), name, "string")


def _object(name: str, value: Any, before: Any) -> dict[str, Any] | None:
    if type(value) is dict:
        # A field in two spellings is decoded twice into one map.
        return {**before, **value} if before else value
    if value is None:
        return None
    raise mismatch(_kind(value), name, "map[string]interface {}")


def _milliseconds(name: str, value: Any, before: Any) -> int | None:
    if value is None:
        return before  # type: ignore[no-any-return]  # a null changes nothing
    if type(value) is int and -_INT64 <= value < _INT64:
        return value
    shown = f"number {value}" if type(value) in (int, float) else _kind(value)
    raise mismatch(shown, name, "int64")


def _sessions(_: str, value: Any, before: Any) -> Meta | None:
    del before  # the last one counts
    meta = read_meta(value, _kind)
    if isinstance(meta, str):
        raise InvalidEvent(meta)
    return meta


_READERS: Mapping[str, Callable[[str, Any, Any], Any]] = {
    "id": _text,
    "name": _text,
    "v": _text,
    "data": _object,
    "user": _object,
    "ts": _milliseconds,
    "meta": _sessions,
}


def _check_name(name: str) -> None:
    if name[: len(RESERVED)].lower() == RESERVED:
        raise InvalidEvent(f"event name is reserved for internal use: {name}")
    if not name:
        raise InvalidEvent("event name is empty")


def _check_range(ts: int) -> None:
    # The server compares nanoseconds that overflow: a time of the year 2611 passes.
    at = (ts * _NANOSECONDS + _INT64) % (2 * _INT64) - _INT64
    if at < EARLIEST * _NANOSECONDS:
        raise InvalidEvent("timestamp is before Jan 1, 1980")
    if at > LATEST * _NANOSECONDS:
        raise InvalidEvent("timestamp is after Jan 1, 2100")


def _kind(value: Any) -> str:
    if isinstance(value, bool):
        return "bool"
    if isinstance(value, int | float):
        return "number"
    if isinstance(value, str):
        return "string"
    return "array" if isinstance(value, list) else "object"
