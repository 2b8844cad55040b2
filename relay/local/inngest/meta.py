"""Validates an event's `meta`, of which functions get the sessions, as the server does."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

MAX_SESSIONS = 5
MAX_KEY = 128
"""Bytes of a session's key."""
MAX_ID = 512
"""Bytes of a session's id."""

Sessions: TypeAlias = Mapping[str, str | None]
_MAP = "map[string]interface {}"
_META = (
    'struct { Sessions json.RawMessage "json:\\"sessions\\""; '
    'PropagatedSessions event.Sessions "json:\\"propagated_sessions\\"" }'
)


@dataclass(frozen=True, slots=True)
class Meta:
    """The sessions of an event, and those that it inherits. None as an id ends an inherited one."""

    sessions: Sessions
    propagated: Sessions

    def error(self) -> str | None:
        """Why the server rejects it; None if it does not."""
        return _error(self.sessions) or _error(self.propagated)

    def delivered(self) -> dict[str, Any] | None:
        """What functions get: the own sessions, then inherited ones by name while there is room."""
        kept = {key: text for key, text in self.sessions.items() if text is not None}
        for key in sorted(self.propagated.keys() - self.sessions.keys()):
            if len(kept) < MAX_SESSIONS:
                kept[key] = self.propagated[key] or ""
        return {"sessions": kept} if kept else None


def read_meta(value: Any, kind: Callable[[Any], str]) -> Meta | str | None:
    """Decode the field. Returns the server's error message for values of a wrong type."""
    if value is None:
        return None
    if type(value) is not dict:
        return _mismatch(kind(value), "meta", _META)
    fields = {key.lower(): item for key, item in value.items()}
    own, inherited = fields.get("sessions") or {}, fields.get("propagated_sessions") or {}
    if type(own) is not dict:
        return _mismatch(kind(own), "meta", _MAP)
    if type(inherited) is not dict:
        return _mismatch(kind(inherited), "meta.propagated_sessions", _MAP)
    return _wrong_type(own, inherited) or Meta(_as_text(own), _as_text(inherited))


def _wrong_type(own: Mapping[str, Any], inherited: Mapping[str, Any]) -> str | None:
    for key, item in own.items():
        if not (item is None or _is_id(item)):
            return f'event session "{key}" must be a string, number, or null'
    for key, item in inherited.items():
        if not _is_id(item):
            return f'event session "{key}" must be a string or number'
    return None


def _mismatch(shown: str, field: str, wanted: str) -> str:
    return f"json: cannot unmarshal {shown} into Go struct field raw.{field} of type {wanted}"


def _is_id(value: Any) -> bool:
    return isinstance(value, str | int | float) and not isinstance(value, bool)


def _as_text(sessions: Mapping[str, Any]) -> Sessions:
    return {key: None if item is None else str(item) for key, item in sessions.items()}


def _error(sessions: Sessions) -> str | None:
    kept = {key: text for key, text in sessions.items() if text is not None}
    if len(kept) > MAX_SESSIONS:
        return f"event sessions can include at most {MAX_SESSIONS} entries"
    for key, text in kept.items():
        if not key:
            return "event session keys cannot be empty"
        if len(key.encode()) > MAX_KEY:
            return f'event session key "{key}" exceeds {MAX_KEY} bytes'
        if not text:
            return f'event session "{key}" cannot have an empty ID'
        if len(text.encode()) > MAX_ID:
            return f'event session "{key}" exceeds {MAX_ID} bytes'
    return None
