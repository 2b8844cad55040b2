"""The choices that an operator makes about messages."""

from __future__ import annotations

from dataclasses import dataclass

from relay.envelope.id_path import compiled

KINDS = ("auto", "inngest", "sns", "eventbridge", "s3", "cloudevents", "task")


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """How messages are read. Sizes are bytes.

    Attributes:
        envelope: one of `KINDS`; `auto` looks at each message. A pin speaks of the outermost
            envelope of a body: `sns` says nothing about what is inside. A firing that sqsd itself
            marks as a periodic task is one under any pin.
        id_attribute: name of the message attribute that holds a message's id.
        id_path: a JMESPath into the body for the same, where the attribute is absent.
        fifo_dedup_id: take a FIFO message's deduplication id as its id; pull mode only.
        max_events: the most events in one message.
        max_event_bytes: the most bytes in one event as it is sent.
        task_prefix: put before a periodic task's name to make its event's name.
        trace_in_data: put the producer's trace parent into the event's data.

    Raises:
        ValueError: the envelope is not one of `KINDS`, or the path is no JMESPath.
    """

    envelope: str = "auto"
    id_attribute: str | None = None
    id_path: str | None = None
    fifo_dedup_id: bool = False
    max_events: int = 5_000
    max_event_bytes: int = 3_145_728
    task_prefix: str = "task/"
    trace_in_data: bool = False

    def __post_init__(self) -> None:
        """Refuse at the start what no message could be read with."""
        if self.envelope not in KINDS:
            raise ValueError(f"{self.envelope!r} is no envelope: choose one of {', '.join(KINDS)}")
        if self.id_path is not None:
            compiled(self.id_path)
