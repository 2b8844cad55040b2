"""Earlier attempts: events that the server may hold although nobody saw them stored.

Before such an event is sent again it is looked for, because a self-hosted server with its in-memory
queue forgets its ids at every restart and would run a repeated one again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

from relay.destinations.inngest.search import Place
from relay.model.event import Event
from relay.model.lru import LruCache

MAX_EARLIER = 50_000
"""Events remembered. A forgotten one is only sent again without being looked for."""


Attempted: TypeAlias = Callable[[Event], float | None]
"""When another process may have sent an event first; None if that is not known."""


def not_attempted(event: Event) -> float | None:
    """Without a ledger, attempts of other processes are unknown."""
    del event
    return None


@dataclass(frozen=True, slots=True)
class EarlierAttempt:
    """An attempt at an event that has no outcome yet. Times are of day, in seconds.

    Attributes:
        started: when the first attempt started.
        latest: when the latest attempt started.
        reference: the internal id under which it was accepted; None if that is unknown.
        stored: whether it was read back.
        missed: when a complete look for it found nothing; None if there was none.
        place: how far an incomplete search for it came.
    """

    started: float
    latest: float
    reference: str | None = None
    stored: bool = False
    missed: float | None = None
    place: Place | None = None


class EarlierAttempts:
    """Remembers the attempts, and when the server may have restarted.

    Args:
        attempted: knows of attempts of other processes.
    """

    def __init__(self, attempted: Attempted = not_attempted) -> None:
        self._attempted = attempted
        self._attempts: LruCache[EarlierAttempt] = LruCache(MAX_EARLIER)
        self._restarted = float("-inf")
        self._kind: str | None = None

    def of(self, event: Event) -> EarlierAttempt | None:
        """The attempt at this event, None if there was none."""
        known = self._attempts.get(_key(event)) if len(self._attempts) else None
        if known is None and (at := self._attempted(event)) is not None:
            # Of another process, and so long ago that nobody can tell whether the server restarted.
            self._restarted = max(self._restarted, at)
            known = EarlierAttempt(at, at)
            self._attempts.put(_key(event), known)
        return known

    def may_have_restarted(self, now: float) -> None:
        """Record a sign of a restart: the server was out of reach, or a connection broke."""
        # The clock may have been set back.
        self._restarted = max(self._restarted, now)

    def observe_kind(self, kind: str | None, now: float) -> None:
        """Record what the server says it is. Another kind than before is another server."""
        if kind is None or kind == self._kind:
            return
        if self._kind is not None:
            self.may_have_restarted(now)
        self._kind = kind

    def restarted_since(self, attempt: EarlierAttempt) -> bool:
        """Whether the server may have restarted since the attempt, or since it was looked for."""
        last = attempt.latest if attempt.missed is None else attempt.missed
        return self._restarted >= last

    def record(
        self,
        events: Iterable[Event],
        started: float,
        *,
        references: Iterable[str | None] | None = None,
    ) -> None:
        """Record an attempt; `references` are the internal ids under which it was accepted."""
        for event, reference in zip(events, references or _none(), strict=False):
            known = self._attempts.get(_key(event))
            first = started if known is None else min(known.started, started)
            attempt = EarlierAttempt(first, started, reference)
            self._attempts.put(_key(event), attempt)

    def stored(self, event: Event, reference: str) -> None:
        """Record that the event was read back. It is not sent again until that was returned."""
        known = self._attempts.get(_key(event)) or EarlierAttempt(0.0, 0.0)
        self._attempts.put(_key(event), replace(known, reference=reference, stored=True))

    def missed(self, event: Event, now: float) -> None:
        """Record that the event was looked for and is not stored."""
        known = self._attempts.get(_key(event))
        if known is not None:
            missed = replace(known, reference=None, missed=now, place=None)
            self._attempts.put(_key(event), missed)

    def reference_missed(self, event: Event, now: float) -> None:
        """Record that the event is not stored under its reference.

        If it was sent before that too, and the server may have restarted, it may be stored under
        another internal id: then it still has to be searched by its own id.
        """
        known = self._attempts.get(_key(event))
        if known is None:
            return
        if known.started < known.latest and self.restarted_since(known):
            self._attempts.put(_key(event), replace(known, reference=None))
        else:
            self.missed(event, now)

    def place(self, events: Iterable[Event], now: float) -> Place:
        """Where a search for these events has to start: at the newest of their places."""
        first = Place("", 0, now)
        places = [self._place(self._attempts.get(_key(event))) or first for event in events]
        if first in places:
            return first
        newest = max(places, key=lambda place: place.below)
        return replace(newest, since=min(place.since for place in places))

    def searched(self, event: Event, place: Place) -> None:
        """Record how far an incomplete search came that has not found the event."""
        known = self._attempts.get(_key(event))
        if known is None or not place.below:
            return
        before = self._place(known)
        if before is None or place.below < before.below:
            self._attempts.put(_key(event), replace(known, place=place))

    def _place(self, attempt: EarlierAttempt | None) -> Place | None:
        """How far a search came; None if more may have been stored above it before a restart."""
        place = None if attempt is None else attempt.place
        return place if place is not None and place.since > self._restarted else None

    def forget(self, events: Sequence[Event]) -> None:
        """Forget events whose outcome is known."""
        if len(self._attempts):
            for event in events:
                self._attempts.forget(_key(event))


def _none() -> Iterable[None]:
    while True:
        yield None


def _key(event: Event) -> str:
    return f"{event.id}\0{event.name}"
