"""Reads dead letters without the relay's code: their events, and what is left of their messages."""

from __future__ import annotations

import base64
import gzip
import json
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

from relay.local.sqs import Stored
from tests.chaos.publisher import Source

ORIGIN = "relay-origin"
POINTER = "software.amazon.payloadoffloading.PayloadS3Pointer"

Objects: TypeAlias = Mapping[tuple[str, str], bytes]
"""The objects in S3, by bucket and key."""


@dataclass(frozen=True, slots=True)
class DeadEvent:
    """An event in the dead-letter queue.

    Attributes:
        event_id: its id.
        code: why it is there.
        may_have_run: whether the dead letter says that the event may have run all the same.
        sent_at: when the dead letter was sent, in seconds since the epoch.
        missing: what the dead letter does not have of its message; None if it is whole.
        truncated: whether the dead letter says that only the beginning of the body was kept.
        together: the ids of all events of the dead letter. It has the code of the first.
    """

    event_id: str
    code: str
    may_have_run: bool
    sent_at: float
    missing: str | None = None
    truncated: bool = False
    together: frozenset[str] = frozenset()


def events_in(
    message: Stored, sources: Mapping[str, Sequence[Source]], objects: Objects
) -> Sequence[DeadEvent]:
    """The events of a dead letter, compared with what was published under their ids."""
    found = list(_events_in(message, sources, objects))
    together = frozenset(event.event_id for event in found)
    return [replace(event, together=together) for event in found]


def _events_in(
    message: Stored, sources: Mapping[str, Sequence[Source]], objects: Objects
) -> Iterator[DeadEvent]:
    """The events, one after another.

    An event has its own id if that is the id of a published event, else the id of its message.
    """
    origin = _origin(message)
    base, code = origin.get("id", message.message_id), origin.get("code", "moved by SQS")
    pending = origin.get("pending")
    encoding = origin.get("encoding")
    truncated = str(encoding).startswith("truncated")
    body = _whole_body(message.body, encoding, objects)
    names = [base] if pending is None else [f"{base}.{position}" for position in pending]
    known = [source for name in names for source in sources.get(name, ())]
    # The beginning of a body does not have the ids in the rest of it.
    own = _own_ids(known[0].body.encode() if truncated and known else body)
    for name in names:
        ids = [
            _of_generation(one, origin) for one in (own.get(name.removeprefix(base), name), name)
        ]
        event_id = ids[0] if ids[0] in sources else ids[1]
        missing = [
            _missing(message, origin, body, source, truncated=truncated)
            for source in sources.get(event_id, ())
        ]
        yield DeadEvent(
            event_id,
            code,
            bool(origin.get("may_have_run")),
            message.sent_at,
            # An id may have been published twice: the dead letter is one of the two.
            None if None in missing else next(iter(missing), None),
            truncated,
        )


def _of_generation(event_id: str, origin: Mapping[str, Any]) -> str:
    """The id of the run that a person, or a producer, asked for on purpose."""
    generation = origin.get("generation", 0)
    return f"{event_id}.r{generation}" if generation else event_id


def _origin(message: Stored) -> dict[str, Any]:
    packed = message.attributes.get(ORIGIN)
    origin: dict[str, Any] = json.loads(packed.string_value or "{}") if packed else {}
    return origin


def _whole_body(body: str, encoding: str | None, objects: Objects) -> bytes:
    """The message's body as the dead letter keeps it, or the dead letter's own."""
    try:
        match encoding:
            case "empty":
                return b""
            case "base64":
                return base64.b64decode(body, validate=True)
            case "gzip+base64":
                return gzip.decompress(base64.b64decode(body, validate=True))
            case _:
                return _from_store(body, objects) or body.encode()
    except (ValueError, OSError, EOFError):
        return body.encode()


def _from_store(body: str, objects: Objects) -> bytes | None:
    if POINTER not in body:
        return None
    kind, fields = json.loads(body)
    assert kind == POINTER
    return objects.get((fields["s3BucketName"], fields["s3Key"]))


def _missing(
    message: Stored, origin: Mapping[str, Any], body: bytes, source: Source, *, truncated: bool
) -> str | None:
    lost = set(source.attributes) - set(message.attributes) - set(origin.get("lost", ())) - {ORIGIN}
    if lost:
        return f"its attributes {sorted(lost)} are neither there nor named as lost"
    published = source.body.encode()
    if message.body == source.body or body == published:
        return None
    if not truncated:
        return "its body is another one"
    if not published.startswith(_beginning(message.body, origin["encoding"])):
        return "the beginning of its body is another one"
    return "its body is truncated"


def _beginning(body: str, encoding: str) -> bytes:
    """What a truncated body has of the original."""
    if encoding == "truncated":
        return body.encode()
    unpacking = zlib.decompressobj(16 + zlib.MAX_WBITS)
    return unpacking.decompress(base64.b64decode(body))


def _own_ids(body: bytes) -> dict[str, str]:
    """The ids in the body, by the suffix to the base id of the message."""
    try:
        read = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    if isinstance(read, list):
        found = {f".{n}": one.get("id") for n, one in enumerate(read) if isinstance(one, dict)}
    else:
        found = {"": read.get("id") if isinstance(read, dict) and "name" in read else None}
    return {suffix: own for suffix, own in found.items() if isinstance(own, str)}
