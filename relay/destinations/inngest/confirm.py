"""Confirm mode: an event counts as delivered when it was read back, not when it was acknowledged.

A self-hosted Inngest acknowledges what it has in memory only. That an event is stored is what this
proves; whether it runs after a crash depends on the server's queue.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from typing import Protocol

from relay.destinations.inngest.read_back import PAGE, Stored, TooLong
from relay.model.destination import Destination, Limits, Unavailable
from relay.model.event import Event
from relay.model.lru import LruCache
from relay.model.outcome import Delivered, Outcome, Retry

IN_FLIGHT = 24
"""Requests under way at once: each waits for seconds, for the most part, until it is stored."""

UNHEARD = 50_000
"""Events whose attempt had an unknown end. One that is forgotten is sent again, nothing worse."""

SKEW = 300.0
"""Seconds by which the server's clock may differ from ours."""

PAGES = 20
"""Pages read for events whose internal ids nobody told; the newest thousand."""


class Waits(Protocol):
    """Waits until internal ids can be read back, see `Confirmations`."""

    async def stored(self, internal_ids: Collection[str], size: int) -> Collection[str]:
        """Those that were seen in time."""
        ...


class Lists(Protocol):
    """Lists what is stored, see `ReadBack`."""

    async def page(
        self, after: float, *, below: str = "", name: str = "", limit: int = PAGE
    ) -> Sequence[Stored]:
        """The newest below a given one."""
        ...


class Confirmed:
    """An Inngest whose successes are read back.

    What is acknowledged and not seen in time has to wait. Where a request has no proof of success,
    its events are looked for under our own ids, as its answer may have been lost on the way; only
    when all of them are stored does that count. What is sent again gets other internal ids, and a
    copy under our id is all that is needed.

    Args:
        destination: makes the requests; references are the server's internal ids.
        confirmations: waits for internal ids.
        reading: finds events by our ids.
        patience: seconds for finding them.
        clock: the time of day.
    """

    def __init__(
        self,
        destination: Destination,
        confirmations: Waits,
        reading: Lists,
        *,
        patience: float = 15.0,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._destination = destination
        self._confirmations = confirmations
        self._reading = reading
        self._patience = patience
        self._clock = clock
        self._unheard: LruCache[float] = LruCache(UNHEARD)

    @property
    def limits(self) -> Limits:
        """What the destination takes in a request, and more of them at once."""
        return replace(self._destination.limits, in_flight=IN_FLIGHT)

    async def send(self, events: Sequence[Event]) -> Sequence[Outcome]:
        """One request of the destination's; `Delivered` is what was read back after it.

        Raises:
            Unavailable: the destination's own, or what was sent cannot be read back.
            Refused: the destination's own.
        """
        start = self._clock()
        try:
            outcomes = await self._destination.send(events)
            return await self._confirmed(events, outcomes, start)
        except Unavailable as error:
            if error.not_accepted:
                raise
            since = self._remember(events, start)
            found = {} if error.proven else await self._found(events, since)
            if not all((event.name, event.id) in found for event in events):
                raise
        return [Delivered(found[event.name, event.id]) for event in events]

    async def _confirmed(
        self, events: Sequence[Event], outcomes: Sequence[Outcome], start: float
    ) -> Sequence[Outcome]:
        told = {one.reference for one in outcomes if isinstance(one, Delivered) and one.reference}
        size = sum(len(event.wire) for event in events)
        stored = await self._confirmations.stored(told, size) if told else ()
        return [
            outcome
            if not isinstance(outcome, Delivered)
            else self._judged(event, outcome, start, seen=outcome.reference in stored)
            for event, outcome in zip(events, outcomes, strict=True)
        ]

    def _judged(self, event: Event, accepted: Delivered, start: float, *, seen: bool) -> Outcome:
        if seen:
            self._unheard.forget(event.id)
            return accepted
        self._remember([event], start)
        return Retry("accepted, but not seen among the stored events in time")

    def _remember(self, events: Sequence[Event], start: float) -> float:
        """Note that any of them may be stored; since when, at the earliest."""
        for event in events:
            self._unheard.put(event.id, self._unheard.get(event.id) or start)
        return min(self._unheard.get(event.id) or start for event in events)

    async def _found(self, events: Sequence[Event], since: float) -> Mapping[tuple[str, str], str]:
        """The internal ids of stored copies by our names and ids, as far as they can be found."""
        try:
            async with asyncio.timeout(self._patience):
                return await self._search({(e.name, e.id) for e in events}, since - SKEW)
        except (Unavailable, TooLong, TimeoutError):
            # The first failure tells more, and nothing was found out.
            return {}

    async def _search(
        self, wanted: set[tuple[str, str]], after: float
    ) -> Mapping[tuple[str, str], str]:
        found: dict[tuple[str, str], str] = {}
        names = {name for name, _ in wanted}
        name = next(iter(names)) if len(names) == 1 else ""
        below = ""
        for _ in range(PAGES):
            page = await self._reading.page(after, below=below, name=name)
            copies = (one for one in page if (one.name, one.id) in wanted)
            found |= {(one.name, one.id): one.internal_id for one in copies}
            if not page or len(found) == len(wanted):
                break
            below = page[-1].internal_id
        return found
