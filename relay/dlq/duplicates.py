"""Duplicates: which dead letters are copies of one event, and which were dead-lettered again."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum, auto

from relay.dlq.dead_letter import DeadLetter

MARGIN = 1.0
"""Seconds by which two of SQS's timestamps must differ before their order proves anything."""

SKEW = 300.0
"""Seconds that this machine's clock may be ahead of SQS's."""

_ID_KEY = b'"id"'


@dataclass(frozen=True, slots=True)
class Identity:
    """Hashes of the ids of a dead letter's pending events, and of its body."""

    events_hash: str
    body_hash: str


@dataclass(frozen=True, slots=True)
class Redriven:
    """A dead letter that was redriven: its body, and how often it had been dead-lettered.

    At `seen_at` it was certainly still in the queue, by SQS's own clock.
    """

    body_hash: str
    seen_at: float | None
    hops: int = 0


class Relation(Enum):
    """How a dead letter relates to one with the same events that was redriven before."""

    DUPLICATE = auto()
    DEAD_LETTERED_AGAIN = auto()
    DISTINCT = auto()


def identify(dead_letter: DeadLetter) -> Identity:
    """The dead letter's identity, short whatever its size."""
    ids = "\n".join(_event_ids(dead_letter))
    return Identity(_short(ids.encode("utf-8", "surrogatepass")), _short(dead_letter.message.body))


def relation_to(
    earlier: Redriven, dead_letter: DeadLetter, identity: Identity, began_at: float
) -> Relation:
    """How the dead letter relates to an earlier one that a run begun at `began_at` redrove.

    Only a dead letter with the same body that was certainly in the queue beside the earlier one, by
    SQS's own clock, is a duplicate that may be deleted. A later one may be the earlier one,
    dead-lettered again, and deleting it would lose it.
    """
    if dead_letter.hops > earlier.hops:
        return Relation.DEAD_LETTERED_AGAIN
    sent, seen = dead_letter.message.sent_at, earlier.seen_at
    if sent is None or seen is None:
        return Relation.DEAD_LETTERED_AGAIN
    if sent > seen:
        in_this_run = sent > began_at - SKEW
        return Relation.DEAD_LETTERED_AGAIN if in_this_run else Relation.DISTINCT
    beside = sent <= seen - MARGIN
    same = identity.body_hash == earlier.body_hash
    return Relation.DUPLICATE if beside and same else Relation.DISTINCT


def _event_ids(dead_letter: DeadLetter) -> Iterable[str]:
    """What tells its events from others. It is decoded only if they may have ids of their own."""
    origin, body = dead_letter.origin, dead_letter.message.body
    plain = origin is not None and origin.encoding is None and _ID_KEY not in body
    if dead_letter.has_origin and origin is not None and plain:
        return (dead_letter.base_id, f"{origin.pending} {origin.generation}")
    return sorted(event.id for event in dead_letter.events) or (dead_letter.base_id,)


def _short(data: bytes) -> str:
    return hashlib.blake2b(data, digest_size=16).hexdigest()
