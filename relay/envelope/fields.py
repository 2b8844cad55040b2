"""Validation of an event's fields by the rules of Inngest's event API (measured)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from relay.envelope.opened_envelope import InvalidContent
from relay.model.event import Json

EARLIEST = 315_532_800_000
"""1980-01-01. Inngest refuses earlier times, and thereby times in seconds (measured)."""

LATEST = 4_102_444_800_000
"""2100-01-01. Inngest refuses later times, except some that overflow its check (recorded)."""

MAX_NAME = 256
"""Characters, as Inngest Cloud documents it."""

RESERVED_PREFIX = "inngest/"

MAX_SESSIONS = 5

MAX_SESSION_KEY = 128
"""Bytes."""

MAX_SESSION_ID = 512
"""Bytes, of the number's text if it is a number."""

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
    if value == 0 or EARLIEST <= value <= LATEST:
        return value or None
    if EARLIEST <= value * 1_000 <= LATEST:
        raise InvalidContent(
            "ts_in_seconds", f"the event's ts {value} is in seconds: send milliseconds"
        )
    raise InvalidContent(
        "ts_out_of_range", "the event's ts is not between 1980 and 2100 in milliseconds since 1970"
    )


def payload(text: Json | None) -> Json | None:
    """The JSON text of the event's data, which is an object or null; None if it has none.

    Raises:
        InvalidContent: `data_not_object`.
    """
    if not _is_object_or_null(text):
        raise InvalidContent(
            "data_not_object", "the event's data is not an object: put it into one"
        )
    return text


def user(text: bytes | None) -> bytes | None:
    """The JSON text of the event's user, which is an object or null; None if it has none.

    Raises:
        InvalidContent: `user_not_object`.
    """
    if not _is_object_or_null(text):
        raise InvalidContent("user_not_object", "the event's user is not an object")
    return text


def _is_object_or_null(text: Json | None) -> bool:
    return text is None or text[:1] == b"{" or text == b"null"


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
    if seconds is None or not EARLIEST <= seconds * 1_000 <= LATEST:
        return None
    return int(seconds * 1_000 + 0.5)  # `round` takes ten times as long


def _in_range(milliseconds: int) -> int | None:
    return milliseconds if EARLIEST <= milliseconds <= LATEST else None


def meta(text: bytes) -> bytes:
    """The JSON text of the event's meta, which is an object or null.

    The rules are recorded, and read in the source of Inngest v1.43: sessions that the producer set
    win over propagated ones, and only the sessions that remain are limited.

    Raises:
        InvalidContent: `meta_not_object` or `bad_sessions`.
    """
    value = json.loads(text, parse_int=str, parse_float=str)
    if value is None:
        return text
    if not isinstance(value, dict):
        raise InvalidContent("meta_not_object", "the event's meta is neither an object nor null")
    # The last spelling wins, as in the server.
    members = {folded(name): member for name, member in value.items()}
    own = _own_sessions(members.get("sessions", {}))
    propagated = _propagated_sessions(members.get("propagated_sessions"))
    if own is None:
        return text  # null: no session of its own, and the propagated ones are dropped
    sessions = {key: ident for key, ident in own.items() if ident is not None}
    free = max(MAX_SESSIONS - len(sessions), 0)
    sessions |= {key: propagated[key] for key in sorted(propagated.keys() - own.keys())[:free]}
    _check_sessions(sessions)
    return text


def _own_sessions(value: Any) -> Mapping[str, str | None] | None:
    """The sessions that the producer set. A null drops the propagated session of that key."""
    if value is None:
        return None
    if not isinstance(value, dict):
        raise InvalidContent("bad_sessions", "the sessions in the event's meta are not an object")
    if not all(ident is None or isinstance(ident, str) for ident in value.values()):
        raise InvalidContent(
            "bad_sessions", "a session in the event's meta is not a text, a number or null"
        )
    return value


def _propagated_sessions(value: Any) -> Mapping[str, str]:
    if value is None:
        return {}
    if not isinstance(value, dict) or not all(isinstance(one, str) for one in value.values()):
        raise InvalidContent(
            "bad_sessions",
            "the propagated sessions in the event's meta are not an object of texts and numbers",
        )
    return value


def _check_sessions(sessions: Mapping[str, str]) -> None:
    if len(sessions) > MAX_SESSIONS:
        raise InvalidContent("bad_sessions", f"the event has more than {MAX_SESSIONS} sessions")
    for key, ident in sessions.items():
        if not key or not ident:
            raise InvalidContent("bad_sessions", "a session's key or id is the empty text")
        if _size(key) > MAX_SESSION_KEY or _size(ident) > MAX_SESSION_ID:
            raise InvalidContent(
                "bad_sessions",
                f"a session's key is longer than {MAX_SESSION_KEY} bytes, or its id is longer than"
                f" {MAX_SESSION_ID}",
            )


def _size(text: str) -> int:
    # Half of a surrogate pair becomes U+FFFD in the server, which is three bytes as well.
    return len(text.encode(errors="surrogatepass"))


def folded(name: str) -> str:
    """The name in the one spelling that Go's JSON decoder gives all its spellings."""
    return name.replace("\u017f", "s").lower()  # a long s; `lower` does the same for all others
