"""A message as the queue stores it, and the MD5 digests of its body and attributes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import md5
from typing import Literal, TypeAlias

from relay.local.sqs.parameters import AttributeValue

State: TypeAlias = Literal["visible", "in_flight", "delayed"]

_TEXT, _BYTES = b"\x01", b"\x02"


def md5_of_body(body: bytes) -> str:
    """The digest of a body in UTF-8."""
    return md5(body, usedforsecurity=False).hexdigest()


def md5_of_attributes(attributes: Mapping[str, AttributeValue]) -> str | None:
    """The digest of the attributes, ordered by name; None if there are none.

    The encoding is from the developer guide: each name, type and value is preceded by its length,
    and the value also by a byte that distinguishes text from binary.
    """
    if not attributes:
        return None
    digest = md5(usedforsecurity=False)
    for name in sorted(attributes):
        value = attributes[name]
        digest.update(_with_length(name.encode()) + _with_length(value.data_type.encode()))
        digest.update(_value(value))
    return digest.hexdigest()


def _value(value: AttributeValue) -> bytes:
    if value.binary_value is not None:
        return _BYTES + _with_length(value.binary_value)
    return _TEXT + _with_length((value.string_value or "").encode())


def _with_length(part: bytes) -> bytes:
    return len(part).to_bytes(4, "big") + part


@dataclass(slots=True, eq=False, kw_only=True)
class Stored:
    """One copy of a message in a queue. Times are seconds since the epoch.

    Attributes:
        serial: unique to this copy; a duplicate is a second copy with the same `message_id`.
        position: orders the visible messages.
        receipt: counts the receives of this copy. A FIFO queue accepts the latest handle only.
        dead_letter_source: the ARN of the queue whose redrive policy moved the message.
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
    position: int = 0
    receive_count: int = 0
    first_received_at: float | None = None
    received_at: float = 0.0
    visible_at: float = 0.0
    receipt: int = 0
    state: State = "visible"


def system_attributes(stored: Stored, sender: str) -> dict[str, str]:
    """The system attributes of a message; times are in milliseconds."""
    attributes = {
        "SenderId": sender,
        "SentTimestamp": str(int(stored.sent_at * 1_000)),
        "ApproximateReceiveCount": str(stored.receive_count),
        "ApproximateFirstReceiveTimestamp": str(int((stored.first_received_at or 0.0) * 1_000)),
    }
    optional = {
        "SequenceNumber": stored.sequence_number,
        "MessageDeduplicationId": stored.dedup_id,
        "MessageGroupId": stored.group_id,
        "AWSTraceHeader": stored.trace_header,
        "DeadLetterQueueSourceArn": stored.dead_letter_source,
    }
    attributes.update({name: value for name, value in optional.items() if value is not None})
    return attributes
