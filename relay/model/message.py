"""A message as it was received from the queue.

What is created for each message is a msgspec struct: creating a frozen dataclass with as many
fields takes ten times as long.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from msgspec import Struct


class Attribute(Struct, frozen=True):
    """A message attribute as SQS types it: `String`, `Number` or `Binary`, each `.custom` or not.

    `value` is bytes for Binary types and text for all others.
    """

    data_type: str
    value: str | bytes


@dataclass(frozen=True, slots=True)
class PeriodicTask:
    """One firing of a periodic task of `cron.yaml`. The same firing can arrive twice."""

    name: str
    scheduled_at: str


class Message(Struct, frozen=True, kw_only=True):
    """One message as it was received. Times are seconds since the epoch.

    `message_id` is SQS's MessageId: the same at each redelivery, a new one after SQS's own move
    task. `queue` is the queue's name. What the source does not provide is None: push mode never has
    `group_id`, `dedup_id`, `trace_header` or `dead_letter_source`.
    """

    body: bytes
    message_id: str
    queue: str
    attributes: Mapping[str, Attribute] = {}
    receive_count: int = 1
    sent_at: float | None = None
    first_received_at: float | None = None
    group_id: str | None = None
    dedup_id: str | None = None
    sequence_number: str | None = None
    trace_header: str | None = None
    dead_letter_source: str | None = None
    task: PeriodicTask | None = None

    @property
    def sent_or_received_at(self) -> float | None:
        """When it was sent, or first received if the source does not say when it was sent."""
        return self.first_received_at if self.sent_at is None else self.sent_at

    def attribute(self, name: str) -> Attribute | None:
        """The attribute of this name, ignoring case: in push mode it was an HTTP header."""
        if not self.attributes:
            return None
        found = self.attributes.get(name)
        if found is not None:
            return found
        folded = name.casefold()
        for key, value in self.attributes.items():
            if key.casefold() == folded:
                return value
        return None


_NOTICES = {
    "duplicate-key": "an object has a key twice: most parsers use the last one",
    "big-integer": (
        "an integer is beyond 2^53: Inngest rounds it, as JavaScript does, so send it as a text"
    ),
    "lone-surrogate": "a text has half of a surrogate pair: Inngest replaces it by U+FFFD",
    "repeated-id": "two of its events have the same id: only one of them is accepted",
    "id-not-found": (
        "it has no id at RELAY_ID_ATTRIBUTE or RELAY_ID_PATH, so the next rule for ids is used"
    ),
}


def explain_notice(notice: str) -> str:
    """What a message's notice means: it is accepted, but its producer may have made a mistake.

    Returns a phrase for a person. A notice that is not known is returned as it is.
    """
    code, _, field = notice.partition(":")
    if code == "unknown-field":
        return f"no event has a field {field}: it is left out, so put it into data"
    if code == "field-case":
        return f"it has a field {field}: it is sent as {field.lower()}"
    return _NOTICES.get(code, notice)
