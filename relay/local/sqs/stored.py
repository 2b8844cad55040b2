"""One copy of a message as the queue keeps it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from relay.local.sqs.parameters import AttributeValue

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
