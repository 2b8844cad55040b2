"""Which letters are the same thing twice: copies of one event, and what came back while we work."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum, auto

from relay.dlq.dead_letter import DeadLetter

MARGIN = 1.0
"""Seconds between SQS's own clocks that prove nothing."""

_ID = b'"id"'

SKEW = 300.0
"""Seconds that this machine's clock may be ahead of SQS's."""


@dataclass(frozen=True, slots=True)
class Identity:
    """What a letter is about (`about`: the ids of its pending events) and what it says (`text`)."""

    about: str
    text: str


@dataclass(frozen=True, slots=True)
class Redriven:
    """A letter that was brought back: what it said and how often it had died.

    At `seen_at` it was surely still there, by SQS's own clock.
    """

    text: str
    seen_at: float | None
    hops: int = 0


class Relation(Enum):
    """What a letter is to one with the same events that was brought back before."""

    COPY = auto()
    RETURNED = auto()
    OTHER = auto()


def identify(letter: DeadLetter) -> Identity:
    """The letter's identity, short whatever its size."""
    return Identity(_short("\n".join(_about(letter)).encode()), _short(letter.message.body))


def _about(letter: DeadLetter) -> Iterable[str]:
    """What tells its events from others; decoded only where they may have ids of their own."""
    origin = letter.origin
    plain = origin is not None and origin.encoding is None and _ID not in letter.message.body
    if letter.noted and origin is not None and plain:
        return (letter.base_id, f"{origin.pending} {origin.generation}")
    return sorted(event.id for event in letter.events) or (letter.base_id,)


def relation_to(
    letter: DeadLetter, identity: Identity, twin: Redriven, began_at: float
) -> Relation:
    """What the letter is to its twin, which was brought back in a run that began then.

    Only a letter that was surely there beside its twin, by SQS's own clock and with the same text,
    is a copy that may go. A later one may be the twin come back, and deleting it would lose it.
    """
    if letter.hops > twin.hops:
        return Relation.RETURNED
    sent, seen = letter.message.sent_at, twin.seen_at
    if sent is None or seen is None:
        return Relation.RETURNED
    if sent > seen:
        return Relation.RETURNED if sent > began_at - SKEW else Relation.OTHER
    beside = sent <= seen - MARGIN
    return Relation.COPY if beside and identity.text == twin.text else Relation.OTHER


def _short(data: bytes) -> str:
    return hashlib.blake2b(data, digest_size=16).hexdigest()
