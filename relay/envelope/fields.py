"""Validation of an event's fields by the rules of Inngest's event API (measured)."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from relay.envelope.opened_envelope import InvalidContent

EARLIEST = 315_532_800_000
"""1980-01-01. Inngest refuses earlier times, and thereby times in seconds (measured)."""

LATEST = 4_102_444_800_000
"""2100-01-01. Inngest refuses later times (measured)."""

MAX_NAME = 256
"""Characters, as Inngest Cloud documents it."""

RESERVED_PREFIX = "inngest/"

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)


def name(value: Any) -> str:
    """The event's name.

    Raises:
        InvalidContent: the name is missing, not a text, empty, reserved or too long.
    """
    if value is None:
        raise InvalidContent(
            "missing_name", "the event has no name, and no known envelope is around it"
        )
    if not isinstance(value, str) or not is_encodable(value):
        raise InvalidContent("name_not_text", "the event's name is not a text")
    if not value:
        raise InvalidContent("empty_name", "the event's name is empty")
    if value[: len(RESERVED_PREFIX)].lower() == RESERVED_PREFIX:
        raise InvalidContent(
            "reserved_name", f"names that start with {RESERVED_PREFIX} belong to the orchestrator"
        )
    if len(value) > MAX_NAME:
        raise InvalidContent(
            "name_too_long", f"the event's name is longer than {MAX_NAME} characters"
        )
    return value


def identifier(value: Any) -> str | None:
    """The event's own id; null and the empty text count as none.

    Raises:
        InvalidContent: `id_not_text`.
    """
    if value is not None and (not isinstance(value, str) or not is_encodable(value)):
        raise InvalidContent("id_not_text", "the event's id is not a text: put a number in quotes")
    return value or None


def version(value: Any) -> str | None:
    """The version of the event's schema.

    Raises:
        InvalidContent: `v_not_text`.
    """
    if value is not None and (not isinstance(value, str) or not is_encodable(value)):
        raise InvalidContent("v_not_text", "the event's v is not a text: put a number in quotes")
    return value


def timestamp(value: Any) -> int | None:
    """The event's time in milliseconds; null and 0 count as none.

    Raises:
        InvalidContent: `ts_not_integer`, `ts_in_seconds` or `ts_out_of_range`.
    """
    if value is None:
        return None
    if not isinstance(value, int) or isinstance(value, bool):
        raise InvalidContent(
            "ts_not_integer", "the event's ts is not a whole number of milliseconds"
        )
    if value == 0 or EARLIEST <= value < LATEST:
        return value or None
    if EARLIEST <= value * 1_000 < LATEST:
        raise InvalidContent(
            "ts_in_seconds", f"the event's ts {value} is in seconds: send milliseconds"
        )
    raise InvalidContent(
        "ts_out_of_range", "the event's ts is not between 1980 and 2100 in milliseconds since 1970"
    )


def payload(value: Any, text: bytes | None) -> bytes | None:
    """The JSON text of the event's data, which is an object or null; None if it has none.

    Raises:
        InvalidContent: `data_not_object`.
    """
    if type(value) is not dict and value is not None:
        raise InvalidContent(
            "data_not_object", "the event's data is not an object: put it into one"
        )
    return text


def user(value: Any, text: bytes | None) -> bytes | None:
    """The JSON text of the event's user, which is an object or null; None if it has none.

    Raises:
        InvalidContent: `user_not_object`.
    """
    if type(value) is not dict and value is not None:
        raise InvalidContent("user_not_object", "the event's user is not an object")
    return text


def is_encodable(value: str) -> bool:
    """Whether the text can be encoded as UTF-8, which half of a surrogate pair cannot."""
    if value.isascii():
        return True
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def from_iso_text(text: Any) -> int | None:
    """Milliseconds of an ISO 8601 text, in UTC unless it has a zone; None if it is not one."""
    try:
        moment = datetime.fromisoformat(text.upper())
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=UTC)
        return _in_range((moment - _EPOCH) // _MILLISECOND)
    except (AttributeError, OverflowError, ValueError):
        return None


def from_seconds(seconds: float | None) -> int | None:
    """Milliseconds of a time in seconds since the epoch; None if it is None or out of range."""
    if seconds is None or not EARLIEST <= seconds * 1_000 < LATEST:
        return None
    return int(seconds * 1_000 + 0.5)  # `round` takes ten times as long


def _in_range(milliseconds: int) -> int | None:
    return milliseconds if EARLIEST <= milliseconds < LATEST else None
