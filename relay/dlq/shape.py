"""The shape of a body: letters that break for the same reason often look alike."""

from __future__ import annotations

from typing import Any

import msgspec

from relay.stand_in import original

_LONGEST = 100
_DEPTH = 3


def shape(body: bytes, encoding: str | None = None) -> str:
    """A short text that bodies of the same structure share, whatever their values are."""
    try:
        body = original(body, encoding)
    except ValueError:
        return "a damaged stand-in"
    if not body.strip():
        return "empty"
    try:
        return _cut(_of(msgspec.json.decode(body), _DEPTH))
    except (msgspec.DecodeError, RecursionError):
        return _not_json(body)


def _not_json(body: bytes) -> str:
    try:
        body.decode()
    except UnicodeDecodeError:
        return "not UTF-8"
    return "text"


def _of(value: Any, depth: int) -> str:
    if isinstance(value, dict):
        if not depth:
            return "{…}"
        return "{" + ",".join(f"{k}:{_of(value[k], depth - 1)}" for k in sorted(value)) + "}"
    if isinstance(value, list):
        return "[" + "|".join(sorted({_of(item, depth - 1) for item in value[:50]})) + "]"
    return "null" if value is None else type(value).__name__


def _cut(text: str) -> str:
    return text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"
