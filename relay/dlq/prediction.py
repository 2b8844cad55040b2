"""Predictions: what would happen to a dead letter's events if it were redriven now."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol, TypeAlias

from relay.dlq.dead_letter import DeadLetter
from relay.model.event import Event
from relay.model.outcome import Reject
from relay.model.traits import WHILE_IT_EXISTS, Traits

Prediction: TypeAlias = Literal[
    "runs", "already_accepted", "ambiguous", "may_repeat", "rejected", "unknown"
]
MEANING: dict[Prediction, str] = {
    "runs": "will run; if it ran before, its destination still knows its id and does not run it"
    " twice",
    "already_accepted": "was accepted before and will not run again",
    "ambiguous": "may have run, and neither the ledger nor the destination still knows: it may run"
    " twice, and a relay with a ledger rejects it again; --rerun runs it in any case",
    "may_repeat": "may have run, and its destination does not deduplicate, or not beyond a restart:"
    " it may run twice",
    "rejected": "would be rejected again, at least one of its events",
    "unknown": "its payload in S3 was not read",
}
_WORST_FIRST: tuple[Prediction, ...] = (
    "rejected",
    "ambiguous",
    "may_repeat",
    "runs",
    "already_accepted",
)

TraitsOf: TypeAlias = Callable[[str], Traits | None]
"""The traits of the destination of events with a name; None if there is no destination."""


@dataclass(frozen=True, slots=True)
class LedgerState:
    """What the ledger holds about an event, in epoch seconds; None where it has no entry."""

    sending_at: float | None = None
    delivered_at: float | None = None
    dead_lettered_at: float | None = None


class LedgerReader(Protocol):
    """Reads the ledger."""

    async def look_up(self, events: Sequence[Event]) -> Sequence[LedgerState | None]:
        """The state of each event, in order; None where the ledger could not answer."""
        ...


def predict(
    dead_letter: DeadLetter,
    states: Sequence[LedgerState | None] | None,
    now: float,
    traits_of: TraitsOf,
) -> Prediction:
    """The prediction for the dead letter, the worst of its events'.

    `states` are those of its events, in order; None if there is no ledger.
    """
    if dead_letter.payload_unread:
        return "unknown"
    if rejection(dead_letter) is not None:
        return "rejected"
    known = states if states is not None else [None] * len(dead_letter.events)
    predictions = {
        _for_event(dead_letter, traits_of(event.name), state, now)
        for event, state in zip(dead_letter.events, known, strict=True)
    }
    return next((worst for worst in _WORST_FIRST if worst in predictions), "already_accepted")


def rejection(dead_letter: DeadLetter) -> Reject | None:
    """Why the relay would reject it, or one of its events, again; None if it would not."""
    if isinstance(dead_letter.decoded, Reject):
        return dead_letter.decoded
    return next((reject for _, reject in dead_letter.decoded.rejects), None)


def _for_event(
    dead_letter: DeadLetter, traits: Traits | None, state: LedgerState | None, now: float
) -> Prediction:
    if traits is None:
        return "rejected"
    origin = dead_letter.origin
    if dead_letter.modified and origin is not None and origin.generation:
        return "runs"
    if dead_letter.id_lost:
        return "ambiguous"
    if state is None:
        return _without_ledger(dead_letter, traits, now)
    if state.delivered_at is not None:
        return "already_accepted"
    sending_at = state.sending_at
    return "runs" if sending_at is None else _if_accepted(traits, now - sending_at)


def _without_ledger(dead_letter: DeadLetter, traits: Traits, now: float) -> Prediction:
    """Decide by whether an attempt with an unknown outcome is still known under its id.

    What SQS moved by itself had deliveries whose outcome nobody recorded.
    """
    origin = dead_letter.origin
    if not dead_letter.moved_by_sqs and not (origin is not None and origin.may_have_run):
        return "runs"
    first = dead_letter.first_sent_at
    return _if_accepted(traits, None if first is None else now - first)


def _if_accepted(traits: Traits, age: float | None) -> Prediction:
    """For an event that may have been accepted `age` seconds ago; None if the age is unknown."""
    if not traits.safe_repeat_window:
        return "may_repeat"
    if traits.safe_repeat_window == WHILE_IT_EXISTS or (
        age is not None and age < traits.safe_repeat_window
    ):
        return "may_repeat" if traits.forgets_at_restart else "runs"
    return "ambiguous"
