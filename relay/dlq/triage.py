"""Triage: decides for each received dead letter whether to send, delete, defer or skip it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic

from relay.dlq.dead_letter import DeadLetter
from relay.dlq.duplicates import Identity, Relation, identify, relation_to
from relay.dlq.journal import Journal
from relay.dlq.leases import Leased
from relay.dlq.selection import BLOCKED, LIMIT, UNSELECTED, Selection, Skipped
from relay.dlq.targets import P, Target

DEAD_LETTERED_AGAIN = Skipped(
    "dead_lettered_again", "it was redriven in this run and dead-lettered again"
)
AFTER_END = Skipped(LIMIT, "the limit was reached, or the run ended before it was sent")


@dataclass(frozen=True, slots=True)
class Prepared(Generic[P]):
    """A dead letter to send; `outgoing` is what the target will send."""

    leased: Leased
    dead_letter: DeadLetter
    identity: Identity
    outgoing: P


@dataclass(frozen=True, slots=True)
class Duplicate:
    """A dead letter with the same content as one that was sent: it is only deleted."""

    leased: Leased
    dead_letter: DeadLetter
    identity: Identity


@dataclass(frozen=True, slots=True)
class Deferred:
    """A dead letter whose events are being sent for another one: decide when that has ended."""

    leased: Leased


class Triage(Generic[P]):
    """Decides about the dead letters of one run.

    Args:
        selection: which ones are selected.
        journal: what was sent already.
        target: where they go.
        fifo: whether a skipped dead letter blocks those behind it in its group.
    """

    def __init__(
        self, selection: Selection, journal: Journal, target: Target[P], *, fifo: bool
    ) -> None:
        self._selection = selection
        self._journal = journal
        self._target = target
        self._fifo = fifo
        # What its canary or an earlier part sent counts: the limit is that of the whole run.
        self._count = len(journal.redriven)
        self._under_way: set[str] = set()
        self._blocked: set[str | None] = set()

    @property
    def limit_reached(self) -> bool:
        """Whether no more may be sent."""
        return self._selection.limit is not None and self._count >= self._selection.limit

    async def decide(
        self, leased: Leased, *, ended: bool
    ) -> Prepared[P] | Duplicate | Deferred | Skipped:
        """What to do with the dead letter. With `ended` nothing more is sent.

        What is prepared counts as under way until `finished`.

        Raises:
            AwsError: that cannot be decided now.
        """
        dead_letter = await self._selection.read(leased.message)
        began_at = self._journal.began_at
        skipped = self._selection.skip_reason(dead_letter, began_at) or self._blocked_by(
            dead_letter
        )
        if skipped is not None:
            return self.skip(dead_letter, skipped)
        identity = self._identity(dead_letter)
        # On a FIFO queue deferring would let others overtake it; sending it twice is harmless.
        if identity.events_hash in self._under_way and not self._fifo:
            return Deferred(leased)
        relation = self._relation(dead_letter, identity)
        if relation is Relation.DUPLICATE:
            return Duplicate(leased, dead_letter, identity)
        if relation is Relation.DEAD_LETTERED_AGAIN:
            return self.skip(dead_letter, DEAD_LETTERED_AGAIN)
        outgoing = AFTER_END if ended or self.limit_reached else await self._prepare(dead_letter)
        if isinstance(outgoing, Skipped):
            return self.skip(dead_letter, outgoing)
        self._count += 1
        self._under_way.add(identity.events_hash)
        return Prepared(leased, dead_letter, identity, outgoing)

    def skip(self, dead_letter: DeadLetter, skipped: Skipped) -> Skipped:
        """Skip it. On a FIFO queue it blocks those behind it, unless it was not selected."""
        if self._fifo and skipped.code not in UNSELECTED:
            self._blocked.add(dead_letter.message.group_id)
        return skipped

    def finished(self, prepared: Prepared[P]) -> None:
        """Its sending has ended, with or without success."""
        self._under_way.discard(prepared.identity.events_hash)

    def _identity(self, dead_letter: DeadLetter) -> Identity:
        if self._selection.every_message:
            return Identity(dead_letter.message.message_id, "")
        return identify(dead_letter)

    def _relation(self, dead_letter: DeadLetter, identity: Identity) -> Relation:
        earlier = self._journal.redriven.get(identity.events_hash)
        if earlier is None:
            return Relation.DISTINCT
        return relation_to(earlier, dead_letter, identity, self._journal.began_at)

    async def _prepare(self, dead_letter: DeadLetter) -> P | Skipped:
        modified = self._selection.modify(dead_letter)
        if isinstance(modified, Skipped):
            return modified
        failing = await self._selection.failing(modified)
        return failing or await self._target.prepare(modified)

    def _blocked_by(self, dead_letter: DeadLetter) -> Skipped | None:
        blocked = self._fifo and dead_letter.message.group_id in self._blocked
        return BLOCKED if blocked else None
