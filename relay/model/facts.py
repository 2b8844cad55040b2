"""Facts: a frozen value for each thing that happened, for metrics, logs and traces.

A component takes `observe: Observe` and calls it synchronously. An observer never raises and never
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
    """A message was received and is in flight. A second delivery meanwhile states no such fact."""

    message: Message


class Handled(Struct, frozen=True, kw_only=True):
    """This delivery of a message has its outcome, at the time `at`.

    After `Delivered` and `Reject` the message may be acknowledged (a `Reject` is in the dead-letter
    queue), after `Retry` it stays in the queue. `results` pairs each event that was sent with its
    outcome; `rejects` are the invalid events of an array, which were not sent, by position.
    """

    message: Message
    outcome: Outcome
    at: float
    seconds: float
    results: tuple[tuple[Event, Outcome], ...] = ()
    rejects: tuple[tuple[int, Reject], ...] = ()
    notices: tuple[str, ...] = ()


class Forwarded(Struct, frozen=True, kw_only=True):
    """One request to the destination ended. `error` is None if it answered for each event.

    `sent` are the events of the request, in order.
    """

    events: int
    size: int
    seconds: float
    error: str | None = None
    sent: Sequence[Event] = ()


class DeadLettered(Struct, frozen=True, kw_only=True):
    """A message's copy is in the dead-letter queue.

    `kept` is what it keeps of the message, see `relay.delivery.dead_letter_copy.Kept`.
    """

    message: Message
    code: str
    reason: str
    kept: str = "unchanged"


class DeadLetterTooLarge(Struct, frozen=True, kw_only=True):
    """A message to dead-letter does not fit whole and stays in the queue.

    `code` is why it was to be dead-lettered; `reason` is why it was not, and what to do.
    """

    message: Message
    code: str
    reason: str


class RejectHeld(Struct, frozen=True):
    """The reject guard held a message: it stays in the queue instead of being dead-lettered."""

    message: Message
    code: str


class RejectGuardChanged(Struct, frozen=True, kw_only=True):
    """The reject guard halted dead-lettering, or was released.

    `reason` is a sentence, `setting` the setting to check, `seconds` how long the previous state
    lasted.
    """

    halted: bool
    reason: str
    seconds: float
    setting: str


class CircuitChanged(Struct, frozen=True, kw_only=True):
    """The circuit breaker of the destination changed its state.

    `state` is `closed`, `open` or `halted`; a probe changes nothing until it is answered. `seconds`
    is how long the previous state lasted; `setting` is the setting to check when halted.
    `destination` is its name if there are several.
    """

    state: str
    reason: str
    seconds: float
    setting: str | None = None
    destination: str = ""


class StuckChanged(Struct, frozen=True, kw_only=True):
    """Messages are not delivered although the circuit is closed, or are delivered again.

    `reason` is a sentence, `setting` the setting to check, `seconds` how long the previous state
    lasted.
    """

    stuck: bool
    reason: str
    seconds: float
    setting: str | None = None


class Extended(Struct, frozen=True, kw_only=True):
    """A call extended the visibility of `count` messages and failed for `failed` others."""

    count: int
    failed: int = 0


class DeletedLate(Struct, frozen=True):
    """A message was deleted after its visibility timeout: it may be received once more."""

    message_id: str


class DeleteFailed(Struct, frozen=True):
    """A delete failed until the visibility timeout was over: the message is received again."""

    message_id: str
    reason: str


class LeaseLost(Struct, frozen=True):
    """The visibility of a message in flight was not extended in time: another may have it too."""

    message_id: str


class ReleaseFailed(Struct, frozen=True):
    """Releasing a message failed: it is received again after its visibility timeout."""

    message_id: str
    reason: str


class HandlerRaised(Struct, frozen=True):
    """A handler raised an exception instead of returning an outcome. The message is retried."""

    message: Message
    error: Exception


class ReceivingChanged(Struct, frozen=True, kw_only=True):
    """The poller stopped or resumed receiving because of the queue's answers.

    `state` is `open`, `backing-off` or `halted`; `reason` is a sentence, `seconds` how long the
    previous state lasted.
    """

    state: str
    reason: str
    seconds: float


class PauseChanged(Struct, frozen=True, kw_only=True):
    """An operator paused the queue, or resumed it after `seconds`.

    `by` is who paused it and `reason` why, as far as they said; both may be empty.
    """

    paused: bool
    by: str
    reason: str
    seconds: float


class LedgerFailed(Struct, frozen=True, kw_only=True):
    """A read or write of the ledger failed for some events. They are delivered all the same.

    `step` is `look-up`, `sending`, `withdrawal`, `delivered` or `dead-lettered`; `count` is events.
    """

    step: str
    count: int
    reason: str


class LedgerChanged(Struct, frozen=True, kw_only=True):
    """The ledger became unavailable or available. `seconds` is how long the last state lasted."""

    unavailable: bool
    reason: str
    seconds: float


class IdReused(Struct, frozen=True):
    """The ledger has this event's id with another content. It is treated as the same event."""

    event: Event


class ProcessEnded(Struct, frozen=True, kw_only=True):
    """A process of a relay of `of` processes ended by itself. It is started in `delay` seconds.

    `worker` is its number, 0 for the reporter; `how` completes a sentence about it.
    """

    worker: int
    of: int
    pid: int
    how: str
    delay: float


class EventsAccepted(Struct, frozen=True, kw_only=True):
    """The gateway answered a request with success: all its events are in the queue.

    `key` is the name of the event key, `seconds` the time from its headers to its answer.
    """

    events: int
    seconds: float
    key: str = ""


class EventsRefused(Struct, frozen=True, kw_only=True):
    """The gateway refused a request, or could not put all its events into the queue.

    `status` is the HTTP status of the answer, `key` the name of the event key if it is known.
    """

    code: str
    reason: str
    status: int
    key: str = ""


Fact: TypeAlias = (
    Received
    | Handled
    | Forwarded
    | DeadLettered
    | DeadLetterTooLarge
    | RejectHeld
    | RejectGuardChanged
    | CircuitChanged
    | StuckChanged
    | Extended
    | DeletedLate
    | DeleteFailed
    | LeaseLost
    | ReleaseFailed
    | HandlerRaised
    | ReceivingChanged
    | PauseChanged
    | LedgerFailed
    | LedgerChanged
    | IdReused
    | ProcessEnded
    | EventsAccepted
    | EventsRefused
)
Observe: TypeAlias = Callable[[Fact], None]


def ignore(fact: Fact) -> None:
    """An observer that does nothing."""
