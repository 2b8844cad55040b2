"""Redelivery: what this process knows of a message's earlier deliveries."""

from __future__ import annotations

from collections.abc import Sequence
from typing import overload

from msgspec.structs import replace

from relay.model.event import Event
from relay.model.lru import LruCache
from relay.model.message import Message
from relay.model.outcome import Delivered, Outcome, Reject

REMEMBERED_MESSAGES = 50_000
"""Messages. A forgotten one counts as received by another process, which is the safe side."""

REMEMBERED_EVENTS = 20_000
"""Events. A forgotten one is sent again under its id."""

INCONCLUSIVE = frozenset(
    {
        "expiring",
        "fails_alone",
        "payload_missing",
        "payload_too_large",
        # Depends on settings: an earlier process may have run with others.
        "event_too_large",
        "no_route",
        "payload_bucket_not_allowed",
        "too_many_events",
        "wrong_envelope",
    }
)
"""Codes of rejects that say nothing about earlier attempts. An answer of the destination does."""


class RedeliveryHistory:
    """Knows for which messages this process has seen every receive, by their receive counts.

    A relay that was killed, or another instance, may have sent a message's events without learning
    their outcome. The only sign of that is that the message was received before.
    """

    def __init__(self, limit: int = REMEMBERED_MESSAGES) -> None:
        self._seen: LruCache[int] = LruCache(limit)

    def record(self, message: Message) -> None:
        """Record a delivery. A second one of the same receive, as sqsd may post it, counts once."""
        if message.receive_count <= self._count(message) + 1:
            self._seen.put(message.message_id, message.receive_count)
        else:
            self._seen.forget(message.message_id)

    def mark_may_have_run(self, message: Message) -> None:
        """Treat later deliveries as if another process may have sent the message's events."""
        self._seen.forget(message.message_id)

    def has_seen_all(self, message: Message) -> bool:
        """Whether this process has seen every receive of the message, up to this one."""
        return self._count(message) == message.receive_count

    def _count(self, message: Message) -> int:
        return self._seen.get(message.message_id) or 0


@overload
def flag_may_have_run(outcome: Reject) -> Reject: ...
@overload
def flag_may_have_run(outcome: Outcome) -> Outcome: ...
def flag_may_have_run(outcome: Outcome) -> Outcome:
    """The outcome of an event that another process may have sent; some codes rule that out."""
    if isinstance(outcome, Reject) and outcome.code in INCONCLUSIVE:
        return replace(outcome, may_have_run=True)
    return outcome


class DeliveredEvents:
    """Remembers which events of a message were delivered while others of it must wait.

    Their redeliveries are not sent again: an orchestrator remembers an id for a day, and the last
    event of an array may wait for longer.
    """

    def __init__(self, limit: int = REMEMBERED_EVENTS) -> None:
        self._delivered: LruCache[Delivered] = LruCache(limit)

    def of(self, event: Event) -> Delivered | None:
        """A duplicate if the event was delivered at an earlier delivery of its message."""
        found = self._delivered.get(_key(event))
        return None if found is None else Delivered(found.reference, duplicate=True)

    def record(
        self, events: Sequence[Event], results: Sequence[Outcome | None], *, final: bool
    ) -> None:
        """Record the delivered events if the message may come again; forget them otherwise.

        It is `final` if no more than these results is needed. Other events of the message may have
        to be dead-lettered, for which it may wait.
        """
        again = not final or any(not isinstance(result, Delivered) for result in results)
        for event, result in zip(events, results, strict=True):
            if isinstance(result, Delivered) and again:
                self._delivered.put(_key(event), result)
            elif isinstance(result, Delivered):
                self._delivered.forget(_key(event))


def _key(event: Event) -> str:
    return f"{event.message_id} {event.index} {event.id}"
