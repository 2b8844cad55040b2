"""What rejected content claims to be: enough to find and to group it by, and for nothing else."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from relay.envelope import Decoded
from relay.message import Reject
from relay.stand_in import original

_NAMES = ("name", "detail-type", "type")


def claims(
    body: bytes, encoding: str | None, found: Decoded | Reject
) -> tuple[Mapping[str, Any], ...]:
    """The JSON objects in the body that the relay would reject; none where nothing is rejected."""
    if isinstance(found, Decoded) and not found.rejects:
        return ()
    try:
        value = msgspec.json.decode(original(body, encoding))
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
