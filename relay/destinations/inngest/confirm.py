"""Confirm mode: an event counts as delivered once it was read back, not once it was acknowledged.

A self-hosted Inngest acknowledges events that it holds in memory only. Reading back proves that an
event is stored; whether it runs after a crash depends on the server's queue.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from typing import Protocol

from relay.destinations.inngest.earlier import EarlierAttempt, EarlierAttempts
from relay.destinations.inngest.event_api import StaleConnection
from relay.destinations.inngest.search import EventLister, Search
from relay.destinations.inngest.waiting import Lookup
from relay.model.destination import BatchRefused, Destination, Limits, Unavailable
from relay.model.event import Event
from relay.model.outcome import Delivered, Outcome, Retry

IN_FLIGHT = 24
"""Concurrent requests: most of a request's time, seconds, is spent waiting to be stored."""

CLOCK_SKEW = 300.0
"""Seconds by which the server's clock may differ from ours."""


class SlowListing(Unavailable):
    """The server lists its events, but a search was not finished in time. The next one resumes."""


class ConfirmationWaiter(Protocol):
    """Waits until internal ids can be read back; see `Confirmations`."""

    async def stored(
        self, internal_ids: Collection[str], size: int, *, sent_at: float, spent: float = 0.0
    ) -> Lookup:
        """Wait for events that were just accepted."""
        ...

    async def stored_meanwhile(
        self, internal_ids: Collection[str], size: int, *, sent_at: float, age: float = math.inf
    ) -> Lookup:
        """Look for events that were accepted earlier."""
        ...


class ConfirmedInngest:
    """An Inngest destination whose successes are read back.

    An event that was acknowledged and not seen in time is retried. When a request has no proof of
    success, its answer may have been lost, so its events are searched by their own ids. If reading
    back fails, is slow or times out, that is about the server and about no event: it is raised as
    a proven failure. The next attempt at such an event looks for it first, by its internal id or,
    if the server may have restarted and forgotten its ids, by its own. It is sent again only if it
    is not stored. It then gets another internal id, and one stored copy is enough.

    Args:
        destination: sends the requests; its references are the server's internal ids.
        confirmations: waits for internal ids.
        reader: finds events by their own ids.
        search_timeout: seconds for that search.
        earlier: remembers attempts without an outcome.
        clock: the time of day.
    """

    def __init__(
        self,
        destination: Destination,
        confirmations: ConfirmationWaiter,
        reader: EventLister,
        *,
        search_timeout: float = 15.0,
        earlier: EarlierAttempts | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._destination = destination
        self._confirmations = confirmations
        self._reader = reader
        self._search_timeout = search_timeout
        self._earlier = earlier or EarlierAttempts()
        self._clock = clock

    @property
    def limits(self) -> Limits:
        """The destination's limits, with more concurrent requests."""
        return replace(self._destination.limits, in_flight=IN_FLIGHT)

    async def send(self, events: Sequence[Event]) -> Sequence[Outcome]:
        """Send one request; an event is `Delivered` once it was read back.

        Events that an earlier attempt left with the server are looked for, and not sent if stored.

        Raises:
            Unavailable: the destination's, or the events cannot be read back.
            BatchRefused: the destination's.
        """
        start = self._clock()
        self._earlier.observe_kind(self._reader.server_kind, start)
        await self._look_for_earlier(events)
        known = self._stored(events)
        rest = [position for position, found in enumerate(known) if found is None]
        sent = iter(await self._send_rest(events, rest, start) if rest else ())
        outcomes = [found or next(sent) for found in known]
        self._earlier.forget(
            [e for e, one in zip(events, outcomes, strict=True) if isinstance(one, Delivered)]
        )
        return outcomes

    async def _send_rest(
        self, events: Sequence[Event], rest: Sequence[int], start: float
    ) -> Sequence[Outcome]:
        """Send the events at the positions `rest`."""
        try:
            # The clock may have been set back.
            spent = max(0.0, self._clock() - start)
            return await self._send([events[at] for at in rest], spent)
        except BatchRefused as error:
            if error.suspect is not None:
                error.suspect = rest[error.suspect]
            raise

    async def _look_for_earlier(self, events: Sequence[Event]) -> None:
        """Find out about the events that the server may hold, before any of them is sent again."""
        attempts = [(event, self._earlier.of(event)) for event in events]
        open_ = [(event, one) for event, one in attempts if one is not None and not one.stored]
        accepted = [(event, one) for event, one in open_ if one.reference is not None]
        if accepted:
            await self._look_up(accepted)
        sought = [
            event
            for event, _ in open_
            if (one := self._earlier.of(event)) is not None
            and one.reference is None
            and self._earlier.restarted_since(one)
        ]
        if sought and (trouble := await self._search_for(sought)) is not None:
            raise self._in_trouble(trouble, not_accepted=True)

    async def _look_up(self, accepted: Sequence[tuple[Event, EarlierAttempt]]) -> None:
        now = self._clock()
        ids = {attempt.reference or "" for _, attempt in accepted}
        size = sum(event.size for event, _ in accepted)
        sent_at = min(attempt.started for _, attempt in accepted)
        # After a restart nothing more is stored of what the server had accepted before.
        age = min(
            math.inf if self._earlier.restarted_since(attempt) else now - attempt.latest
            for _, attempt in accepted
        )
        lookup = await self._confirmations.stored_meanwhile(ids, size, sent_at=sent_at, age=age)
        if lookup.disconnected:
            self._earlier.may_have_restarted(self._clock())
        for event, attempt in accepted:
            if attempt.reference in lookup.found:
                self._earlier.stored(event, attempt.reference or "")
            elif lookup.trouble is None:
                self._earlier.reference_missed(event, now)
        if lookup.trouble is not None:
            raise self._in_trouble(lookup.trouble, not_accepted=True)

    def _stored(self, events: Sequence[Event]) -> list[Delivered | None]:
        attempts = map(self._earlier.of, events)
        return [Delivered(one.reference) if one and one.stored else None for one in attempts]

    async def _send(
        self, events: Sequence[Event], spent: float, *, again: bool = False
    ) -> Sequence[Outcome]:
        """Send a request, and `again` if a stale connection lost it and none of it is stored."""
        start = self._clock()
        try:
            outcomes = await self._destination.send(events)
        except StaleConnection as error:
            found = await self._without_answer(events, start, error, missing=not again)
            spent += max(0.0, self._clock() - start)
            return found or await self._send(events, spent, again=True)
        except Unavailable as error:
            return await self._without_answer(events, start, error)
        except BaseException as error:
            if not (isinstance(error, BatchRefused) and error.not_accepted):
                self._earlier.record(events, start)
            raise
        return await self._confirmed(events, outcomes, start, spent)

    async def _without_answer(
        self, events: Sequence[Event], start: float, error: Unavailable, *, missing: bool = False
    ) -> Sequence[Outcome]:
        """The outcomes if all the events are stored all the same; raises `error` otherwise.

        With `missing` no outcomes if certainly none of them is stored.
        """
        if error.disconnected:
            self._earlier.may_have_restarted(self._clock())
        if error.not_accepted:
            raise error
        self._earlier.record(events, start)
        if error.proven:
            raise error
        trouble = await self._search_for(events)
        found = [one for one in self._stored(events) if one is not None]
        if len(found) == len(events):
            return found
        if missing and trouble is None and not found:
            return ()
        if trouble is None or isinstance(trouble, SlowListing):
            raise error
        # No event can have made both fail, so none of them has to be sent alone.
        said = trouble if trouble.setting and not error.setting else error
        raise self._in_trouble(said)

    async def _confirmed(
        self, events: Sequence[Event], outcomes: Sequence[Outcome], start: float, spent: float
    ) -> Sequence[Outcome]:
        ids = {one.reference for one in outcomes if isinstance(one, Delivered) and one.reference}
        if not ids:
            return outcomes
        size = sum(event.size for event in events)
        try:
            lookup = await self._confirmations.stored(ids, size, sent_at=start, spent=spent)
        except BaseException:
            self._record_accepted(events, outcomes, start)
            raise
        if lookup.disconnected:
            self._earlier.may_have_restarted(self._clock())
        if ids == set(lookup.found):
            return outcomes
        self._record_accepted(events, outcomes, start)
        for event, outcome in zip(events, outcomes, strict=True):
            if isinstance(outcome, Delivered) and outcome.reference in lookup.found:
                self._earlier.stored(event, outcome.reference or "")
        if lookup.trouble is not None:
            raise self._in_trouble(lookup.trouble)
        return [
            Retry("accepted, but not seen among the stored events in time")
            if isinstance(outcome, Delivered) and outcome.reference not in lookup.found
            else outcome
            for outcome in outcomes
        ]

    def _record_accepted(
        self, events: Sequence[Event], outcomes: Sequence[Outcome], start: float
    ) -> None:
        accepted = [
            (event, outcome.reference)
            for event, outcome in zip(events, outcomes, strict=True)
            if isinstance(outcome, Delivered)
        ]
        self._earlier.record(
            [event for event, _ in accepted], start, references=[one for _, one in accepted]
        )

    def _in_trouble(self, error: Unavailable, *, not_accepted: bool = False) -> Unavailable:
        """A failure that is about the server and about no event.

        It is `not_accepted` if nothing was sent in this attempt, whatever earlier ones did.
        """
        if error.disconnected:
            self._earlier.may_have_restarted(self._clock())
        return Unavailable(
            error.reason,
            after=error.after,
            setting=error.setting,
            proven=True,
            not_accepted=not_accepted,
            disconnected=error.disconnected,
        )

    async def _search_for(self, events: Sequence[Event]) -> Unavailable | None:
        """Search the stored events for these and record the result; returns why it failed."""
        now = self._clock()
        attempts = [one for event in events if (one := self._earlier.of(event)) is not None]
        since = min((one.started for one in attempts), default=now)
        place = self._earlier.place(events, now)
        search = Search(self._reader, events, since - CLOCK_SKEW, place)
        trouble = await self._run(search)
        for event in events:
            internal_id = search.found.get((event.name, event.id))
            if internal_id is not None:
                self._earlier.stored(event, internal_id)
            elif trouble is None:
                self._earlier.missed(event, place.since)
            else:
                self._earlier.searched(event, search.place)
        if trouble is not None and trouble.disconnected:
            self._earlier.may_have_restarted(self._clock())
        return trouble

    async def _run(self, search: Search) -> Unavailable | None:
        try:
            async with asyncio.timeout(self._search_timeout):
                await search.run()
        except Unavailable as error:
            return error
        except TimeoutError:
            if search.pages:
                return SlowListing("listing events takes too long")
            return Unavailable("the server does not list its events in time")
        return None
