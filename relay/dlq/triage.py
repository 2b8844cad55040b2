"""Judging letters: what goes, what is a copy of what went, what waits, what stays."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic

from relay.dlq.dead_letter import DeadLetter
from relay.dlq.duplicates import Identity, Relation, identify, relation_to
from relay.dlq.journal import Journal
from relay.dlq.leases import Leased
from relay.dlq.selection import BLOCKED, FILTERED, LIMIT, Selection, Skipped
from relay.dlq.targets import L, Target

RETURNED = Skipped("returned", "it was brought back in this run and died again")
BEYOND = Skipped(LIMIT, "the limit was reached, or the run ended before its turn")


@dataclass(frozen=True, slots=True)
class Prepared(Generic[L]):
    """A letter that is to go, as it goes."""

    leased: Leased
    letter: DeadLetter
    identity: Identity
    load: L


@dataclass(frozen=True, slots=True)
class Duplicate:
    """A letter that says what another one said that has gone: it need not go itself."""

    leased: Leased
    letter: DeadLetter
    identity: Identity


@dataclass(frozen=True, slots=True)
class Deferred:
    """A letter about events that are on their way: it is judged when their end is known."""

    leased: Leased


class Triage(Generic[L]):
    """Judges the letters of one run.

    Args:
        errand: what is asked for.
        journal: what was brought back already.
        road: where letters go.
        fifo: whether a letter that stays holds back those behind it in its group.
    """

    def __init__(
        self, selection: Selection, journal: Journal, road: Target[L], *, fifo: bool
    ) -> None:
        self._errand = selection
        self._journal = journal
        self._road = road
        self._fifo = fifo
        # What its canary or a run before brought counts: the limit is that of the whole run.
        self._taken = len(journal.twins)
        self._under_way: set[str] = set()
        self._blocked: set[str | None] = set()

    @property
    def full(self) -> bool:
        """Whether as many letters go as may."""
        return self._errand.limit is not None and self._taken >= self._errand.limit

    async def judge(
        self, leased: Leased, *, ended: bool
    ) -> Prepared[L] | Duplicate | Deferred | Skipped:
        """What becomes of the letter. With `ended` none goes any more.

        A parcel counts as under way until `arrived`.

        Raises:
            AwsError: that cannot be told now.
        """
        letter = await self._errand.read(leased.message)
        stays = self._errand.choose(letter, self._journal.began_at) or self._in_the_way(letter)
        if stays is not None:
            return self.stay(letter, stays)
        identity = self._identity(letter)
        # On a FIFO queue waiting would let others overtake it; sending it twice does no harm.
        if identity.about in self._under_way and not self._fifo:
            return Deferred(leased)
        twin = self._journal.twins.get(identity.about)
        kin = (
            relation_to(letter, identity, twin, self._journal.began_at) if twin else Relation.OTHER
        )
        if kin is Relation.COPY:
            return Duplicate(leased, letter, identity)
        if kin is Relation.RETURNED:
            return self.stay(letter, RETURNED)
        load = BEYOND if ended or self.full else await self._load(letter)
        if isinstance(load, Skipped):
            return self.stay(letter, load)
        self._taken += 1
        self._under_way.add(identity.about)
        return Prepared(leased, letter, identity, load)

    def stay(self, letter: DeadLetter, stays: Skipped) -> Skipped:
        """It stays; on a FIFO queue it holds back those behind it, unless it is not meant."""
        if self._fifo and stays.code != FILTERED:
            self._blocked.add(letter.message.group_id)
        return stays

    def arrived(self, parcel: Prepared[L]) -> None:
        """Its end is known."""
        self._under_way.discard(parcel.identity.about)

    def _identity(self, letter: DeadLetter) -> Identity:
        return Identity(letter.message.message_id, "") if self._errand.each else identify(letter)

    async def _load(self, letter: DeadLetter) -> L | Skipped:
        altered = self._errand.modify(letter)
        return altered if isinstance(altered, Skipped) else await self._road.ready(altered)

    def _in_the_way(self, letter: DeadLetter) -> Skipped | None:
        blocked = self._fifo and letter.message.group_id in self._blocked
        return BLOCKED if blocked else None
