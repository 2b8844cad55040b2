"""First hand: whether every receive of a message came to this process, which then knows all."""

from __future__ import annotations

from typing import overload

from msgspec.structs import replace

from relay.memory import Memory
from relay.message import Message, Outcome, Reject

REMEMBERED = 50_000
"""Messages. A forgotten one counts as known to others, which is the careful answer."""

DOUBTFUL = frozenset(
    {
        "expiring",
        "fails_alone",
        "payload_missing",
        "payload_too_large",
        # What follows from settings: the process before may have run with others.
        "event_too_large",
        "no_route",
        "payload_bucket_not_allowed",
        "too_many_events",
        "wrong_envelope",
    }
)
"""Codes of rejects that say nothing about earlier attempts; an answer of the destination does."""


class FirstHand:
    """Counts receives by MessageId.

    A relay that was killed, or another instance, may have sent a message's events and never learnt
    what became of them. Nothing tells a successor but that the message was received before.
    """

    def __init__(self, limit: int = REMEMBERED) -> None:
        self._seen: Memory[int] = Memory(limit)

    def note(self, message: Message) -> None:
        """A delivery of the message has come; one that is posted again counts as the same."""
        if message.receive_count <= self._seen_of(message) + 1:
            self._seen.put(message.message_id, message.receive_count)
        else:
            self._seen.forget(message.message_id)

    def forget(self, message: Message) -> None:
        """Some of it has run: a later delivery of it cannot know that of itself."""
        self._seen.forget(message.message_id)

    def __contains__(self, message: Message) -> bool:
        return self._seen_of(message) == message.receive_count

    def _seen_of(self, message: Message) -> int:
        return self._seen.get(message.message_id) or 0


@overload
def doubted(outcome: Reject) -> Reject: ...
@overload
def doubted(outcome: Outcome) -> Outcome: ...
def doubted(outcome: Outcome) -> Outcome:
    """The outcome of an event that somebody else may have sent before."""
    if isinstance(outcome, Reject) and outcome.code in DOUBTFUL:
        return replace(outcome, may_have_run=True)
    return outcome
