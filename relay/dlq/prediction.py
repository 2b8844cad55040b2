"""Fates: what would become of a letter's events if it were brought back now."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol, TypeAlias

from relay.dlq.dead_letter import DeadLetter
from relay.envelope import Decoded
from relay.model.event import Event
from relay.model.traits import WHILE_IT_EXISTS, Traits

Prediction: TypeAlias = Literal["runs", "swallowed", "ambiguous", "repeats", "rejected", "unknown"]
MEANING: dict[Prediction, str] = {
    "runs": "will run; what ran already after all is known again and does not run twice",
    "swallowed": "was accepted before and will not run again",
    "ambiguous": "may have run, and nobody remembers: it may run twice, and a relay with a ledger"
    " rejects it again; --rerun runs it all the same",
    "repeats": "may have run, and its destination knows nothing again: it may run twice",
    "rejected": "would be rejected again",
    "unknown": "its payload was not read",
}
_WORST_FIRST: tuple[Prediction, ...] = ("rejected", "ambiguous", "repeats", "runs", "swallowed")

Promised: TypeAlias = Callable[[str], Traits | None]
"""What the destination of events of a name promises; None where they have none."""


@dataclass(frozen=True, slots=True)
class LedgerState:
    """What the ledger knows of an event, in epoch seconds; None where it has no note of it."""

    sending_at: float | None = None
    delivered_at: float | None = None
    dead_lettered_at: float | None = None


class LedgerReader(Protocol):
    """The ledger, as far as it is asked here."""

    async def look_up(self, events: Sequence[Event]) -> Sequence[LedgerState | None]:
        """What is known of each, in order; None where the ledger could not tell."""
        ...


def predict(
    letter: DeadLetter, known: Sequence[LedgerState | None] | None, now: float, promised: Promised
) -> Prediction:
    """The letter's fate, the worst of its events'. `known` is None where there is no ledger."""
    if letter.sealed:
        return "unknown"
    if not isinstance(letter.found, Decoded):
        return "rejected"
    told = known if known is not None else [None] * len(letter.events)
    fates = {
        _of_event(letter, promised(event.name), one, now)
        for event, one in zip(letter.events, told, strict=True)
    }
    return next((worst for worst in _WORST_FIRST if worst in fates), "swallowed")


def _of_event(
    letter: DeadLetter, traits: Traits | None, known: LedgerState | None, now: float
) -> Prediction:
    if traits is None:
        return "rejected"
    if letter.altered and letter.origin is not None and letter.origin.generation:
        return "runs"
    if letter.id_lost:
        return "ambiguous"
    if known is None:
        return _untold(letter, traits, now)
    if known.delivered_at is not None:
        return "swallowed"
    return "runs" if known.sending_at is None else _doubtful(traits, now - known.sending_at)


def _untold(letter: DeadLetter, traits: Traits, now: float) -> Prediction:
    """Without a ledger: whether an attempt with an unknown end is still remembered by its id.

    What SQS moved by itself had deliveries that nobody told the end of.
    """
    if not letter.moved_by_sqs and not (letter.origin is not None and letter.origin.may_have_run):
        return "runs"
    first = letter.first_sent_at
    return _doubtful(traits, None if first is None else now - first)


def _doubtful(traits: Traits, age: float | None) -> Prediction:
    """The fate of what may have been accepted so many seconds ago; None where nobody knows."""
    if not traits.safe_repeat_window:
        return "repeats"
    if traits.safe_repeat_window == WHILE_IT_EXISTS or (
        age is not None and age < traits.safe_repeat_window
    ):
        return "runs"
    return "ambiguous"
