"""Confirm mode: an event counts as delivered once it was read back, not once it was acknowledged.

A self-hosted Inngest acknowledges events that it holds in memory only. Reading back proves that an
event is stored; whether it runs after a crash depends on the server's queue.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from typing import Protocol

from relay.destinations.inngest.read_back import PAGE, PageTooLarge, Stored
from relay.model.destination import Destination, Limits, Unavailable
from relay.model.event import Event
from relay.model.lru import LruCache
from relay.model.outcome import Delivered, Outcome, Retry

IN_FLIGHT = 24
"""Concurrent requests: most of a request's time, seconds, is spent waiting to be stored."""

MAX_UNKNOWN_ENDS = 50_000
"""Events whose attempt had an unknown end. A forgotten one is only sent again."""

CLOCK_SKEW = 300.0
"""Seconds by which the server's clock may differ from ours."""

MAX_PAGES = 20
"""Pages read to find events whose internal ids are unknown: the newest thousand events."""


class ConfirmationWaiter(Protocol):
    """Waits until internal ids can be read back; see `Confirmations`."""

    async def stored(self, internal_ids: Collection[str], size: int) -> Collection[str]:
        """The ids that were seen in time."""
        ...


class EventLister(Protocol):
    """Lists stored events; see `ReadBack`."""

    async def page(
        self, after: float, *, below: str = "", name: str = "", limit: int = PAGE
    ) -> Sequence[Stored]:
        """The newest stored events below an internal id."""
        ...


class ConfirmedInngest:
    """An Inngest destination whose successes are read back.

    An event that was acknowledged and not seen in time is retried. When a request has no proof of
    success, its answer may have been lost, so its events are searched by their own ids; the search
    counts only if it finds all of them. An event that is sent again gets another internal id, and
    one stored copy with the event's own id is enough.

    Args:
        destination: sends the requests; its references are the server's internal ids.
        confirmations: waits for internal ids.
        reader: finds events by their own ids.
        search_timeout: seconds for that search.
        clock: the time of day.
    """

    def __init__(
        self,
        destination: Destination,
        confirmations: ConfirmationWaiter,
        reader: EventLister,
        *,
        search_timeout: float = 15.0,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._destination = destination
        self._confirmations = confirmations
        self._reader = reader
        self._search_timeout = search_timeout
        self._clock = clock
        self._unknown_ends: LruCache[float] = LruCache(MAX_UNKNOWN_ENDS)

    @property
    def limits(self) -> Limits:
        """The destination's limits, with more concurrent requests."""
        return replace(self._destination.limits, in_flight=IN_FLIGHT)

    async def send(self, events: Sequence[Event]) -> Sequence[Outcome]:
        """Send one request; an event is `Delivered` once it was read back.

        Raises:
            Unavailable: the destination's, or the events cannot be read back.
            BatchRefused: the destination's.
        """
        start = self._clock()
        try:
            outcomes = await self._destination.send(events)
            return await self._confirmed(events, outcomes, start)
        except Unavailable as error:
            if error.not_accepted:
                raise
            since = self._mark_unknown(events, start)
            found = {} if error.proven else await self._find(events, since)
            if not all((event.name, event.id) in found for event in events):
                raise
        return [Delivered(found[event.name, event.id]) for event in events]

    async def _confirmed(
        self, events: Sequence[Event], outcomes: Sequence[Outcome], start: float
    ) -> Sequence[Outcome]:
        ids = {one.reference for one in outcomes if isinstance(one, Delivered) and one.reference}
        size = sum(len(event.wire) for event in events)
        stored = await self._confirmations.stored(ids, size) if ids else ()
        return [
            outcome
            if not isinstance(outcome, Delivered)
            else self._outcome(event, outcome, start, seen=outcome.reference in stored)
            for event, outcome in zip(events, outcomes, strict=True)
        ]

    def _outcome(self, event: Event, accepted: Delivered, start: float, *, seen: bool) -> Outcome:
        if seen:
            self._unknown_ends.forget(event.id)
            return accepted
        self._mark_unknown([event], start)
        return Retry("accepted, but not seen among the stored events in time")

    def _mark_unknown(self, events: Sequence[Event], start: float) -> float:
        """Record that the events may be stored; returns since when that is possible."""
        for event in events:
            self._unknown_ends.put(event.id, self._unknown_ends.get(event.id) or start)
        return min(self._unknown_ends.get(event.id) or start for event in events)

    async def _find(self, events: Sequence[Event], since: float) -> Mapping[tuple[str, str], str]:
        """The internal ids of stored copies by name and id, as far as they can be found."""
        try:
            async with asyncio.timeout(self._search_timeout):
                return await self._search({(e.name, e.id) for e in events}, since - CLOCK_SKEW)
        except (Unavailable, PageTooLarge, TimeoutError):
            # The error of the send is raised: it says more than this one.
            return {}

    async def _search(
        self, wanted: set[tuple[str, str]], after: float
    ) -> Mapping[tuple[str, str], str]:
        found: dict[tuple[str, str], str] = {}
        names = {name for name, _ in wanted}
        name = next(iter(names)) if len(names) == 1 else ""
        below = ""
        for _ in range(MAX_PAGES):
            page = await self._reader.page(after, below=below, name=name)
            copies = (one for one in page if (one.name, one.id) in wanted)
            found |= {(one.name, one.id): one.internal_id for one in copies}
            if not page or len(found) == len(wanted):
                break
            below = page[-1].internal_id
        return found
