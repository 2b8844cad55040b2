"""When the dead-letter queue deletes a letter by itself."""

from __future__ import annotations

from dataclasses import dataclass

from relay.message import Message


@dataclass(frozen=True, slots=True)
class Expiry:
    """The moment, epoch seconds. Where it is not `exact`, it is no earlier than that."""

    at: float
    exact: bool = True


def expiry(message: Message, retention: float, *, fifo: bool) -> Expiry | None:
    """When SQS deletes this message of a dead-letter queue; None where its age is not told.

    SQS counts the retention from the enqueue time. What it moves to a standard dead-letter queue
    keeps the time of its first queue, so a letter of one day in a queue that keeps four has three
    days left. A move to a FIFO queue starts the count anew without telling when. The relay's own
    copy is a new message: it counts from the copy (Amazon SQS developer guide, "Dead-letter queue
    retention").
    """
    if message.sent_at is None:
        return None
    moved = message.dead_letter_source is not None
    return Expiry(message.sent_at + retention, exact=not (moved and fifo))
