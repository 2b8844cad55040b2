"""One frozen fact for each thing that happened. Parts state facts; observers count and log them.

A part takes `observe: Observe` and calls it synchronously; an observer never raises and never
blocks. Durations are seconds, sizes are bytes, times are seconds since the epoch.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeAlias

from msgspec import Struct

from relay.model.event import Event
from relay.model.message import Message
from relay.model.outcome import Outcome, Reject


class Received(Struct, frozen=True):
    """A message was taken in hand. A second delivery of one in hand is not received again."""

    message: Message


class Settled(Struct, frozen=True, kw_only=True):
    """A message came to its end for this delivery.

    `outcome` is the message's: `Delivered` and `Reject` may be acknowledged (a `Reject` is in the
    dead-letter queue), `Retry` stays. `results` pairs each event that was tried with its outcome;
    `rejects` are the events of an array that were not even tried, by position. `at` is when.
    """

    message: Message
    outcome: Outcome
    at: float
    seconds: float
    results: tuple[tuple[Event, Outcome], ...] = ()
    rejects: tuple[tuple[int, Reject], ...] = ()
    notices: tuple[str, ...] = ()


class Forwarded(Struct, frozen=True, kw_only=True):
    """One request to the destination ended. `error` is None where it answered for each event.

    `sent` are the events themselves, in order, for those who tell them apart.
    """

    events: int
    size: int
    seconds: float
    error: str | None = None
    sent: Sequence[Event] = ()


class DeadLettered(Struct, frozen=True, kw_only=True):
    """A message's copy is safely in the dead-letter queue; `complete` is False for a stand-in."""

    message: Message
    code: str
    reason: str
    complete: bool = True


class CircuitChanged(Struct, frozen=True, kw_only=True):
    """The way to the destination opened or closed.

    `state` is `closed`, `open`, `half-open` or `halted`; `seconds` is how long the last state
    lasted; `setting` is what to look at when halted.
    """

    state: str
    reason: str
    seconds: float
    setting: str | None = None


class Extended(Struct, frozen=True, kw_only=True):
    """A visibility extension ended for some leases: `count` granted, `failed` refused."""

    count: int
    failed: int = 0


class DeletedLate(Struct, frozen=True):
    """A delete was tried after its lease had run out: the message may come once more."""

    message_id: str


class DeleteFailed(Struct, frozen=True):
    """A delete was refused until the lease's end: the message comes again."""

    message_id: str
    reason: str


class LeaseLost(Struct, frozen=True):
    """A message in hand was not extended in time: somebody else may have it too."""

    message_id: str


class ReleaseFailed(Struct, frozen=True):
    """Making a message visible, at once or later, was refused: it comes at its lease's end."""

    message_id: str
    reason: str


class HandlerRaised(Struct, frozen=True):
    """A handler ended with an exception instead of an outcome. The message comes again."""

    message: Message
    error: Exception


class ReceivingChanged(Struct, frozen=True, kw_only=True):
    """Pull mode's way in from the queue changed.

    `state` is `open`, `backing-off` or `halted`; `reason` is a sentence, `seconds` how long the
    last state lasted.
    """

    state: str
    reason: str
    seconds: float


class LedgerFailed(Struct, frozen=True, kw_only=True):
    """The ledger was not asked, or not told, about some events; they are delivered all the same.

    `step` is `look-up`, `sending`, `withdrawal`, `delivered` or `dead-lettered`; `count` is events.
    """

    step: str
    count: int
    reason: str


class LedgerChanged(Struct, frozen=True, kw_only=True):
    """The ledger went away or came back. `seconds` is how long the last state lasted."""

    unavailable: bool
    reason: str
    seconds: float


class IdReused(Struct, frozen=True):
    """The ledger knows this event by another content. It is handled as the same event."""

    event: Event


Fact: TypeAlias = (
    Received
    | Settled
    | Forwarded
    | DeadLettered
    | CircuitChanged
    | Extended
    | DeletedLate
    | DeleteFailed
    | LeaseLost
    | ReleaseFailed
    | HandlerRaised
    | ReceivingChanged
    | LedgerFailed
    | LedgerChanged
    | IdReused
)
Observe: TypeAlias = Callable[[Fact], None]


def ignore(fact: Fact) -> None:
    """The observer of those who have none."""
