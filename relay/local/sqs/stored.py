"""One copy of a message as the queue keeps it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import md5
from typing import Literal, TypeAlias

from relay.local.sqs.parameters import AttributeValue

_TEXT, _BYTES = b"\x01", b"\x02"


def md5_of_body(body: bytes) -> str:
    """The digest of a body in UTF-8."""
    return md5(body, usedforsecurity=False).hexdigest()


def md5_of_attributes(attributes: Mapping[str, AttributeValue]) -> str | None:
    """The digest of attributes in the order of their names; None for none.

    The form is the developer guide's: each name, type and value with its length before it, and a
    byte before the value that tells text from bytes.
    """
    if not attributes:
        return None
    digest = md5(usedforsecurity=False)
    for name in sorted(attributes):
        value = attributes[name]
        digest.update(_measured(name.encode()) + _measured(value.data_type.encode()))
        digest.update(_value(value))
    return digest.hexdigest()


def _value(value: AttributeValue) -> bytes:
    if value.binary_value is not None:
        return _BYTES + _measured(value.binary_value)
    return _TEXT + _measured((value.string_value or "").encode())


def _measured(part: bytes) -> bytes:
    return len(part).to_bytes(4, "big") + part


State: TypeAlias = Literal["visible", "in_flight", "delayed"]


@dataclass(slots=True, eq=False, kw_only=True)
class Stored:
    """A message in a queue. Times are seconds since the epoch.

    `serial` is this copy's own: a duplicate delivery is a second copy with the same `message_id`.
    `place` orders the line. `receipt` counts the receives of this copy and names the one whose
    handle is good. `dead_letter_source` is the ARN of the queue whose redrive policy moved it.
    """

    serial: int
    message_id: str
    body: str
    md5_of_body: str
    size: int
    sent_at: float
    attributes: Mapping[str, AttributeValue] = field(default_factory=dict)
    md5_of_attributes: str | None = None
    md5_of_system_attributes: str | None = None
    trace_header: str | None = None
    group_id: str | None = None
    dedup_id: str | None = None
    sequence_number: str | None = None
    dead_letter_source: str | None = None
    place: int = 0
    receive_count: int = 0
    first_received_at: float | None = None
    received_at: float = 0.0
    visible_at: float = 0.0
    receipt: int = 0
    state: State = "visible"
