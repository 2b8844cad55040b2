"""First hand: whether every receive of a message came to this process, which then knows all."""

from __future__ import annotations

from collections.abc import Sequence
from typing import overload

from msgspec.structs import replace

from relay.model.event import Event
from relay.model.lru import LruCache
from relay.model.message import Message
from relay.model.outcome import Delivered, Outcome, Reject

REMEMBERED_MESSAGES = 50_000
"""Messages. A forgotten one counts as known to others, which is the careful answer."""

INCONCLUSIVE = frozenset(
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


class RedeliveryHistory:
    """Counts receives by MessageId.

    A relay that was killed, or another instance, may have sent a message's events and never learnt
    what became of them. Nothing tells a successor but that the message was received before.
    """

    def __init__(self, limit: int = REMEMBERED_MESSAGES) -> None:
        self._seen: LruCache[int] = LruCache(limit)

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
def maybe_sent(outcome: Reject) -> Reject: ...
@overload
def maybe_sent(outcome: Outcome) -> Outcome: ...
def maybe_sent(outcome: Outcome) -> Outcome:
    """The outcome of an event that somebody else may have sent before."""
    if isinstance(outcome, Reject) and outcome.code in INCONCLUSIVE:
        return replace(outcome, may_have_run=True)
    return outcome


REMEMBERED_EVENTS = 20_000
"""Events. A forgotten one is sent again under its id."""


class DeliveredEvents:
    """Remembers by message and event, so that a long wait repeats nothing beyond anybody's memory.

    An orchestrator knows an id for a day; the last event of an array may wait for longer.
    """

    def __init__(self, limit: int = REMEMBERED_EVENTS) -> None:
        self._ends: LruCache[Delivered] = LruCache(limit)

    def of(self, event: Event) -> Delivered | None:
        """That it was accepted at an earlier delivery of its message."""
        known = self._ends.get(_key(event))
        return None if known is None else Delivered(known.reference, duplicate=True)

    def note(self, events: Sequence[Event], results: Sequence[Outcome | None]) -> None:
        """A delivery has ended: keep what was accepted if the message stays, else let go."""
        stays = any(not isinstance(result, Delivered) for result in results)
        for event, result in zip(events, results, strict=True):
            if isinstance(result, Delivered) and stays:
                self._ends.put(_key(event), result)
            elif isinstance(result, Delivered):
                self._ends.forget(_key(event))


def _key(event: Event) -> str:
    return f"{event.message_id} {event.index} {event.id}"
