"""Fates: what would become of a letter's events if it were brought back now."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol, TypeAlias

from relay.dlq.dead_letter import Letter
from relay.envelope import Decoded
from relay.model.message import Event
from relay.model.traits import LIVES, Traits

Fate: TypeAlias = Literal["runs", "swallowed", "ambiguous", "repeats", "rejected", "unknown"]
MEANING: dict[Fate, str] = {
    "runs": "will run; what ran already after all is known again and does not run twice",
    "swallowed": "was accepted before and will not run again",
    "ambiguous": "may have run, and nobody remembers: it may run twice, and a relay with a ledger"
    " rejects it again; --rerun runs it all the same",
    "repeats": "may have run, and its destination knows nothing again: it may run twice",
    "rejected": "would be rejected again",
    "unknown": "its payload was not read",
}
_WORST_FIRST: tuple[Fate, ...] = ("rejected", "ambiguous", "repeats", "runs", "swallowed")

Promised: TypeAlias = Callable[[str], Traits | None]
"""What the destination of events of a name promises; None where they have none."""


@dataclass(frozen=True, slots=True)
class Known:
    """What the ledger knows of an event, in epoch seconds; None where it has no note of it."""

    sending_at: float | None = None
    delivered_at: float | None = None
    dead_lettered_at: float | None = None


class Memory(Protocol):
    """The ledger, as far as it is asked here."""

    async def recall(self, events: Sequence[Event]) -> Sequence[Known | None]:
        """What is known of each, in order; None where the ledger could not tell."""
        ...


def fate(
    letter: Letter, known: Sequence[Known | None] | None, now: float, promised: Promised
) -> Fate:
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


def _of_event(letter: Letter, traits: Traits | None, known: Known | None, now: float) -> Fate:
    if traits is None:
        return "rejected"
    if letter.altered and letter.past is not None and letter.past.generation:
        return "runs"
    if letter.id_lost:
        return "ambiguous"
    if known is None:
        return _untold(letter, traits, now)
    if known.delivered_at is not None:
        return "swallowed"
    return "runs" if known.sending_at is None else _doubtful(traits, now - known.sending_at)


def _untold(letter: Letter, traits: Traits, now: float) -> Fate:
    """Without a ledger: whether an attempt with an unknown end is still remembered by its id.

    What SQS moved by itself had deliveries that nobody told the end of.
    """
    if not letter.moved and not (letter.past is not None and letter.past.may_have_run):
        return "runs"
    first = letter.first_sent_at
    return _doubtful(traits, None if first is None else now - first)


def _doubtful(traits: Traits, age: float | None) -> Fate:
    """The fate of what may have been accepted so many seconds ago; None where nobody knows."""
    if not traits.surely:
        return "repeats"
    if traits.surely == LIVES or (age is not None and age < traits.surely):
        return "runs"
    return "ambiguous"
