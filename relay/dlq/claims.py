"""What rejected content claims to be: enough to find and to group it by, and for nothing else."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

import msgspec

from relay.envelope import Decoded
from relay.model.encoded_body import decode_body
from relay.model.message import Message, PeriodicTask
from relay.model.outcome import Reject

_NAMES = ("name", "detail-type", "type")


def claims(
    body: bytes, encoding: str | None, found: Decoded | Reject
) -> tuple[Mapping[str, Any], ...]:
    """The JSON objects in the body that the relay would reject; none where nothing is rejected."""
    if isinstance(found, Decoded) and not found.rejects:
        return ()
    try:
        value = msgspec.json.decode(decode_body(body, encoding))
    except (ValueError, RecursionError):
        return ()
    return tuple(_objects(value, found))


def claimed_name(claim: Mapping[str, Any]) -> str | None:
    """The name that it would have."""
    return next((name for key in _NAMES if isinstance(name := claim.get(key), str) and name), None)


def claimed_id(claim: Mapping[str, Any]) -> str | None:
    """The id that it would have."""
    found = claim.get("id")
    return found if isinstance(found, str) else None


def _objects(value: Any, found: Decoded | Reject) -> Iterator[Mapping[str, Any]]:
    if isinstance(value, dict):
        yield _unwrapped(value)
    elif isinstance(value, list) and isinstance(found, Decoded):
        for index, _ in found.rejects:
            if index < len(value) and isinstance(value[index], dict):
                yield value[index]


def _unwrapped(value: dict[str, Any]) -> Mapping[str, Any]:
    """What an SNS notification holds, if that is an object."""
    inside = value.get("Message")
    if "TopicArn" not in value or not isinstance(inside, str):
        return value
    try:
        found = msgspec.json.decode(inside.encode("utf-8", "surrogatepass"))
    except (ValueError, RecursionError):
        return value
    return found if isinstance(found, dict) else value


_TASK_NAME = "beanstalk.sqsd.task_name"
_SCHEDULED_TIME = "beanstalk.sqsd.scheduled_time"


def firing(message: Message) -> PeriodicTask | None:
    """The firing that this message is, told as the daemon's headers tell it, so with the same id.

    None for every other message.
    """
    name, scheduled = (_text(message, key) for key in (_TASK_NAME, _SCHEDULED_TIME))
    if not name or not scheduled:
        return None
    return PeriodicTask(name, _iso(scheduled))


def _text(message: Message, name: str) -> str:
    found = message.attributes.get(name)
    return found.value if found is not None and isinstance(found.value, str) else ""


def _iso(scheduled: str) -> str:
    try:
        moment = datetime.fromisoformat(scheduled.removesuffix(" UTC"))
    except ValueError:
        return scheduled
    seconds = moment.replace(tzinfo=moment.tzinfo or UTC).timestamp()
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))


_LONGEST = 100
_DEPTH = 3


def shape(body: bytes, encoding: str | None = None) -> str:
    """A short text that bodies of the same structure share, whatever their values are."""
    try:
        body = decode_body(body, encoding)
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
