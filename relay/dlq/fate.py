"""Fates: what would become of a letter's events if it were brought back now."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol, TypeAlias

from relay.dlq.letter import Letter
from relay.envelope import Decoded
from relay.message import Event

REMEMBERED = 86_400.0
"""Seconds for which Inngest knows an id again (its documentation; measured)."""

SURELY = REMEMBERED - 3_600.0
"""Seconds after which it may have forgotten the first attempt, with a margin for the clocks."""

Fate: TypeAlias = Literal["runs", "swallowed", "ambiguous", "rejected", "unknown"]
MEANING: dict[Fate, str] = {
    "runs": "will run",
    "swallowed": "was accepted before and will not run again",
    "ambiguous": "may have run, and nobody remembers: it may run twice, and a relay with a ledger"
    " rejects it again; --rerun runs it all the same",
    "rejected": "would be rejected again",
    "unknown": "its payload was not read",
}


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


def fate(letter: Letter, known: Sequence[Known | None] | None, now: float) -> Fate:
    """The letter's fate, the worst of its events'. `known` is None where there is no ledger."""
    if letter.sealed:
        return "unknown"
    if not isinstance(letter.found, Decoded):
        return "rejected"
    if letter.altered and letter.past is not None and letter.past.generation:
        return "runs"
    if letter.id_lost:
        return "ambiguous"
    if known is None:
        return _untold(letter, now)
    fates = {_of_event(letter, k, now) for k in known}
    order: tuple[Fate, ...] = ("ambiguous", "runs", "swallowed")
    return next((f for f in order if f in fates), "swallowed")


def _of_event(letter: Letter, known: Known | None, now: float) -> Fate:
    if known is None:
        return _untold(letter, now)
    if known.delivered_at is not None:
        return "swallowed"
    if known.sending_at is not None:
        return "runs" if now - known.sending_at < SURELY else "ambiguous"
    return "runs"


def _untold(letter: Letter, now: float) -> Fate:
    """Without a ledger: whether an attempt with an unknown end is still remembered by its id.

    What SQS moved by itself had deliveries that nobody told the end of.
    """
    doubtful = letter.moved or (letter.past is not None and letter.past.may_have_run)
    if not doubtful:
        return "runs"
    first = letter.first_sent_at
    return "runs" if first is not None and now - first < SURELY else "ambiguous"
