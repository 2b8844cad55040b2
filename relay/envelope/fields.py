"""The rules for an event's own fields, as Inngest's event API applies them (measured)."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from relay.envelope.opened_envelope import InvalidContent

EARLIEST = 315_532_800_000
"""1980-01-01. Inngest refuses what is earlier, seconds among it (measured)."""

LATEST = 4_102_444_800_000
"""2100-01-01. Inngest refuses what is later (measured)."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)


def of_text(text: Any) -> int | None:
    """The moment of an ISO 8601 text, UTC unless it names a zone; None where it is no such text."""
    try:
        moment = datetime.fromisoformat(text.upper())
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=UTC)
        return _possible((moment - _EPOCH) // _MILLISECOND)
    except (AttributeError, OverflowError, ValueError):
        return None


def of_seconds(seconds: float | None) -> int | None:
    """The moment of a count of seconds since the epoch; None for None and impossible ones."""
    if seconds is None or not EARLIEST <= seconds * 1_000 < LATEST:
        return None
    return int(seconds * 1_000 + 0.5)  # `round` goes through the digits: ten times the work


def _possible(milliseconds: int) -> int | None:
    return milliseconds if EARLIEST <= milliseconds < LATEST else None


MAX_NAME = 256
"""Characters, as Inngest Cloud documents it."""

RESERVED = "inngest/"


def name(value: Any) -> str:
    """The event's name.

    Raises:
        InvalidContent: it is missing, no text, empty, reserved or too long.
    """
    if value is None:
        raise InvalidContent(
            "missing_name", "the event has no name, and no known envelope is around it"
        )
    if not isinstance(value, str) or not writable(value):
        raise InvalidContent("name_not_text", "the event's name is no text")
    if not value:
        raise InvalidContent("empty_name", "the event's name is empty")
    if value[: len(RESERVED)].lower() == RESERVED:
        raise InvalidContent(
            "reserved_name", f"names that start with {RESERVED} belong to the orchestrator"
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
    if value is not None and (not isinstance(value, str) or not writable(value)):
        raise InvalidContent("id_not_text", "the event's id is no text: put a number in quotes")
    return value or None


def version(value: Any) -> str | None:
    """The version of the event's shape.

    Raises:
        InvalidContent: `v_not_text`.
    """
    if value is not None and (not isinstance(value, str) or not writable(value)):
        raise InvalidContent("v_not_text", "the event's v is no text: put a number in quotes")
    return value


def moment(value: Any) -> int | None:
    """The event's time in milliseconds; null and 0 count as none.

    Raises:
        InvalidContent: `ts_not_integer`, `ts_in_seconds` or `ts_out_of_range`.
    """
    if value is None:
        return None
    if not isinstance(value, int) or isinstance(value, bool):
        raise InvalidContent("ts_not_integer", "the event's ts is no whole number of milliseconds")
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
    """The text of the event's data, an object or null, where there is any.

    Raises:
        InvalidContent: `data_not_object`.
    """
    if type(value) is not dict and value is not None:
        raise InvalidContent("data_not_object", "the event's data is no object: put it into one")
    return text


def user(value: Any, text: bytes | None) -> bytes | None:
    """The text of the event's user, an object or null, where there is any.

    Raises:
        InvalidContent: `user_not_object`.
    """
    if type(value) is not dict and value is not None:
        raise InvalidContent("user_not_object", "the event's user is no object")
    return text


def writable(value: str) -> bool:
    """Whether it is text that can be stored: half of a surrogate pair has no UTF-8."""
    if value.isascii():
        return True
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True
