"""What a dead letter's content says about itself: the ids and names that rejected objects claim.

Claims are good enough to find and group dead letters by, and are used for nothing else.
"""

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

_NAME_KEYS = ("name", "detail-type", "type")
_TASK_NAME = "beanstalk.sqsd.task_name"
_SCHEDULED_TIME = "beanstalk.sqsd.scheduled_time"


def claims(
    body: bytes, encoding: str | None, decoded: Decoded | Reject
) -> tuple[Mapping[str, Any], ...]:
    """The JSON objects in the body that the relay would reject; empty if it rejects none."""
    if isinstance(decoded, Decoded) and not decoded.rejects:
        return ()
    try:
        value = msgspec.json.decode(decode_body(body, encoding))
    except (ValueError, RecursionError):
        return ()
    return tuple(_rejected_objects(value, decoded))


def claimed_name(claim: Mapping[str, Any]) -> str | None:
    """The event name that the object claims."""
    names = (claim.get(key) for key in _NAME_KEYS)
    return next((name for name in names if isinstance(name, str) and name), None)


def claimed_id(claim: Mapping[str, Any]) -> str | None:
    """The event id that the object claims."""
    found = claim.get("id")
    return found if isinstance(found, str) else None


def periodic_task(message: Message) -> PeriodicTask | None:
    """The run of a periodic task that the message stands for; None for any other message.

    It is written as in the worker daemon's HTTP headers, so it has the same id.
    """
    name, scheduled = (_text(message, key) for key in (_TASK_NAME, _SCHEDULED_TIME))
    if not name or not scheduled:
        return None
    return PeriodicTask(name, _iso(scheduled))


def _rejected_objects(value: Any, decoded: Decoded | Reject) -> Iterator[Mapping[str, Any]]:
    if isinstance(value, dict):
        yield _unwrapped(value)
    elif isinstance(value, list) and isinstance(decoded, Decoded):
        for index, _ in decoded.rejects:
            if index < len(value) and isinstance(value[index], dict):
                yield value[index]


def _unwrapped(value: dict[str, Any]) -> Mapping[str, Any]:
    """The object inside an SNS notification, if there is one."""
    inside = value.get("Message")
    if "TopicArn" not in value or not isinstance(inside, str):
        return value
    try:
        found = msgspec.json.decode(inside.encode("utf-8", "surrogatepass"))
    except (ValueError, RecursionError):
        return value
    return found if isinstance(found, dict) else value


def _text(message: Message, name: str) -> str:
    found = message.attributes.get(name)
    return found.value if found is not None and isinstance(found.value, str) else ""


def _iso(scheduled: str) -> str:
    try:
        at = datetime.fromisoformat(scheduled.removesuffix(" UTC"))
    except ValueError:
        return scheduled
    seconds = at.replace(tzinfo=at.tzinfo or UTC).timestamp()
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))
