"""The judge: what the end of an attempt means for each of its events, and for the way itself."""

from __future__ import annotations

import contextlib
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence

from msgspec.structs import replace

from relay.forwarding.circuit_breaker import Breaker, Permit
from relay.forwarding.isolation import (
    Again,
    Alone,
    Evidence,
    Hearing,
    Hints,
    News,
    Parcel,
    Ramp,
    Step,
    Suspects,
)
from relay.model.destination import Refused, Unavailable
from relay.model.event import Event
from relay.model.lru import LruCache
from relay.model.outcome import Delivered, Outcome, Reject

DOUBTS = 50_000
"""Events whose last attempt had an unknown end. A forgotten one loses its mark, nothing else."""


class Judge:
    """Weighs evidence: a destination is blamed only for what no single event can have caused.

    Blamed are, by design: its own unmistakable answer; two different events that failed alike,
    each alone, with nobody answered in between; and a probe of either kind while it is blamed
    already. All else is taken apart until the event at fault stands alone.
    """

    def __init__(
        self,
        breaker: Breaker,
        ramp: Ramp,
        suspects: Suspects,
        hearing: Hearing,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._breaker = breaker
        self._ramp = ramp
        self._suspects = suspects
        self._hearing = hearing
        self._clock = clock
        self._hints = Hints()
        self._evidence = Evidence()
        self._doubts: LruCache[None] = LruCache(DOUBTS)
        self._under_way: Counter[str] = Counter()
        self.last_error: str | None = None

    def may_have_run(self, event_id: str) -> bool:
        """Whether it may be accepted for all that its callers were told.

        An attempt with it is under way, had an unknown end, or a good one that nobody heard of, and
        nobody was told of a good one since.
        """
        return event_id in self._doubts or event_id in self._under_way

    @contextlib.contextmanager
    def sending(self, parcels: Sequence[Parcel]) -> Iterator[None]:
        """While the block runs these are on the wire."""
        ids = [parcel.event.id for parcel in parcels]
        self._under_way.update(ids)
        try:
            yield
        finally:
            for event_id in ids:
                self._under_way[event_id] -= 1
                if not self._under_way[event_id]:
                    del self._under_way[event_id]

    def heard(self, event: Event, outcome: Outcome) -> None:
        """A caller has got this outcome: one that left while it was on the wire gets none."""
        if isinstance(outcome, Delivered):
            self._doubts.forget(event.id)

    def cut_off(self, permit: Permit, parcels: Sequence[Parcel]) -> None:
        """The attempt was cancelled or broke down on our side: nothing is known of its end."""
        self._doubt(parcel.event for parcel in parcels)
        self._breaker.release(permit)

    def answered(
        self, permit: Permit, parcels: Sequence[Parcel], outcomes: Sequence[Outcome]
    ) -> list[Step]:
        """Each event got an outcome of its own."""
        if self._breaker.answered(permit):
            self._evidence.clear()
            self._ramp.restart() if permit.probe else self._ramp.grow()
            if any(isinstance(outcome, Delivered) for outcome in outcomes):
                self._hearing.tell(News.PASSED)
        if len(parcels) == 1 and parcels[0].named:
            self._hints.learn(passed=isinstance(outcomes[0], Delivered))
        return [self._settled(p.event, o) for p, o in zip(parcels, outcomes, strict=True)]

    def refused(self, permit: Permit, parcels: Sequence[Parcel], error: Refused) -> list[Step]:
        """One of several made the request fail. It says nothing about the way."""
        if len(parcels) == 1:
            return self.unavailable(permit, parcels, Unavailable(error.reason))
        self.last_error = error.reason
        if not error.not_accepted:
            self._doubt(parcel.event for parcel in parcels[: error.suspect])
        return list(self._hints.split(parcels, error.suspect))

    def unavailable(
        self, permit: Permit, parcels: Sequence[Parcel], error: Unavailable
    ) -> list[Step]:
        """Nobody got an answer of his own."""
        self.last_error = error.reason
        if not error.not_accepted:
            self._doubt(parcel.event for parcel in parcels)
        again: list[Step] = [Again(parcel.company) for parcel in parcels]
        if not self._breaker.current(permit):
            return again
        if error.proven or permit.probe:
            self._accuse_probe(permit, parcels, error)
            self._blame(permit, error)
            return again
        if len(parcels) > 1:
            return [Again(1)] * len(parcels)
        return [self._failed_alone(permit, parcels[0].event, error)]

    def _failed_alone(self, permit: Permit, event: Event, error: Unavailable) -> Step:
        witness = self._suspects.accuse(event.id)
        if witness and self._evidence.suffices(event.id, error.setting):
            self._blame(permit, error)
            return Again()
        return Alone(error.reason, self._clock(), error.after)

    def _accuse_probe(self, permit: Permit, parcels: Sequence[Parcel], error: Unavailable) -> None:
        # Suspects are probes of the last resort: another event each time, whoever is at fault.
        if permit.probe and not error.proven:
            self._suspects.accuse(parcels[0].event.id)

    def _blame(self, permit: Permit, error: Unavailable) -> None:
        self._breaker.failed(
            permit,
            error.reason,
            after=error.after,
            setting=error.setting,
            proven=error.proven,
        )
        self._evidence.clear()

    def _settled(self, event: Event, outcome: Outcome) -> Outcome:
        if isinstance(outcome, Delivered):
            self._doubts.put(event.id, None)
            self._suspects.acquit(event.id)
        elif isinstance(outcome, Reject):
            self._suspects.acquit(event.id)
            return replace(
                outcome, may_have_run=outcome.may_have_run or self.may_have_run(event.id)
            )
        else:
            # One that was accepted and not seen stored, or whose own request got no answer.
            self._doubts.put(event.id, None)
        return outcome

    def _doubt(self, events: Iterable[Event]) -> None:
        for event in events:
            self._doubts.put(event.id, None)
