"""Lanes: the queues in which events wait to be sent, so that suspects delay only each other."""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable, Sequence
from operator import attrgetter
from typing import TypeAlias

from msgspec import Struct

from relay.forwarding.batcher import Batcher, Entry, Waiter
from relay.forwarding.circuit_breaker import Breaker
from relay.forwarding.suspects import Suspects
from relay.model.destination import Limits
from relay.model.event import Event
from relay.model.outcome import Outcome

SEPARATOR = 2
"""Bytes of a request for each event besides its own: a comma, or the brackets of the array."""

NO_LIMIT = sys.maxsize
"""The batch limit of an event that is not suspected."""

FIRST = 2
"""Events in the first request after a successful probe, which was a single event."""


_KEPT = 0.9
"""The weight that earlier requests keep at each new one."""

_SHARE_OF_RUN = 0.5
"""Of the events accepted in a row, in one request. With less, more requests are sent; with more,
more events are sent twice: at 10 % bad events 1.8 times, and 2.3 times with a share of 1."""

_FEW_REFUSALS = 0.5
"""Recent refusals below which requests are not shortened."""


class PendingEvent(Struct, frozen=True):
    """An event to send, its size in a request, and the most events in that request.

    `hinted` is True when the destination's last answer pointed at this event, `reported` when it
    said that it had stored this event before it refused another one.
    """

    event: Event
    size: int
    batch_limit: int = NO_LIMIT
    hinted: bool = False
    reported: bool = False


_SIZE = attrgetter("size")
_BATCH_LIMIT = attrgetter("batch_limit")


class TryAgain(Struct, frozen=True):
    """No outcome yet: send it again, in a request of at most `batch_limit` events."""

    batch_limit: int = NO_LIMIT
    hinted: bool = False
    reported: bool = False


class FailedAlone(Struct, frozen=True):
    """No outcome yet: it failed alone at `at` on the clock, for an unknown cause."""

    reason: str
    at: float
    after: float | None = None


Step: TypeAlias = Outcome | TryAgain | FailedAlone
"""What follows for an event after an attempt."""

Lane: TypeAlias = Batcher[PendingEvent, Step]


class Ramp:
    """The most events in a request: it grows from two to the full size after an outage.

    While it is `active`, each lane has one request on the wire at a time.
    """

    def __init__(self, full: int) -> None:
        self._full = full
        self._items = full

    @property
    def items(self) -> int:
        """The most events in the next request."""
        return self._items

    @property
    def active(self) -> bool:
        """Whether the full size is not reached yet."""
        return self._items < self._full

    def restart(self) -> None:
        """Start again with small requests: the circuit has just closed."""
        self._items = min(self._full, FIRST)

    def grow(self) -> None:
        """Double the size: a request was answered."""
        self._items = min(self._full, self._items * 2)


class GoodRun:
    """How many events the destination accepts in a row before it refuses one, from its answers.

    A request that is longer than that will probably be refused, and all its events sent again.
    """

    def __init__(self) -> None:
        self._good = 0.0
        self._refused = 0.0

    @property
    def items(self) -> int:
        """The most events worth sending in one request."""
        if self._refused < _FEW_REFUSALS:
            return NO_LIMIT
        return max(FIRST, int(_SHARE_OF_RUN * self._good / self._refused))

    def accepted(self, count: int) -> None:
        """All of a request's events were accepted."""
        if self._refused:
            self._good += count
            self._refused *= _KEPT

    def refused(self, before: int) -> None:
        """A request was refused because of the event behind `before` good ones."""
        self._good = self._good * _KEPT + before
        self._refused = self._refused * _KEPT + 1.0


class Lanes:
    """Four lanes, each with its own requests on the wire.

    The events of a request have one environment, because Inngest takes it from a header.
    `batches` takes every event by default. `reported` takes events that a refused request is said
    to have stored: they only need an answer without an error, and are not mixed with events that
    may be refused again. `singles` takes the events of a failed batch, one event
    a request. `suspects` takes events that failed alone, one at a time, so that an event that hangs
    until its timeout delays only other suspects. While the circuit is not closed, the only request
    is the probe, and it is the least suspected event.

    Args:
        begin: starts a request; called only when the breaker admits it, and takes the permit.
        breaker: whether a request may be sent.
        ramp: how many events it may hold after an outage.
        good_run: how many events are worth sending together.
        suspects: the events that are sent alone.
        limits: what one request may hold, and the most requests on the wire for each lane.
    """

    def __init__(
        self,
        begin: Callable[[Sequence[PendingEvent]], Awaitable[Sequence[Step]]],
        breaker: Breaker,
        ramp: Ramp,
        good_run: GoodRun,
        suspects: Suspects,
        limits: Limits,
    ) -> None:
        self._breaker = breaker
        self._ramp = ramp
        self._known_suspects = suspects
        self._batches: Lane = Batcher(
            begin,
            max_items=lambda: min(self._capacity(self._batches), good_run.items),
            max_size=limits.max_bytes,
            size=_SIZE,
            batch_limit=_BATCH_LIMIT,
            in_flight=limits.in_flight,
        )
        self._reported: Lane = Batcher(
            begin,
            max_items=lambda: self._capacity(self._reported),
            max_size=limits.max_bytes,
            size=_SIZE,
            in_flight=limits.in_flight,
        )
        self._singles: Lane = Batcher(
            begin,
            max_items=lambda: min(1, self._capacity(self._singles)),
            in_flight=limits.in_flight,
        )
        self._suspects: Lane = Batcher(
            begin, max_items=lambda: min(1, self._capacity(self._suspects)), in_flight=1
        )
        self._all = (self._batches, self._reported, self._singles, self._suspects)

    async def submit(self, pending: PendingEvent) -> Step:
        """Send the event once; returns what follows for it."""
        if pending.event.id in self._known_suspects:
            return await self._suspects.submit(pending)
        if pending.reported:
            return await self._reported.submit(pending, pending.event.env)
        lane = self._singles if pending.batch_limit == 1 else self._batches
        return await lane.submit(pending, pending.event.env)

    def add(self, pending: PendingEvent, waiter: Waiter[Step]) -> Entry[PendingEvent, Step]:
        """Send a new event once, for a caller that does not await what follows; no suspect."""
        return self._batches.add(pending, waiter, pending.event.env)

    def withdraw(self, entry: Entry[PendingEvent, Step]) -> None:
        """Withdraw what was added, unless it is on the wire."""
        self._batches.withdraw(entry)

    def wake(self) -> None:
        """Send what may be sent now, the least suspected events first."""
        for lane in self._all:
            lane.wake()

    def release_singles(self) -> None:
        """Let single events batch again: the circuit opened, which explains the failed batches."""
        self._singles.resolve_all(TryAgain())

    def give_back(self) -> None:
        """End the wait of every event that is not on the wire: none will be sent for a while."""
        for lane in self._all:
            lane.resolve_all(TryAgain())

    def resolve_all(self, outcome: Outcome, *, sent: bool = False) -> None:
        """Give this outcome to all waiting events, with `sent` also to those on the wire."""
        for lane in self._all:
            lane.resolve_all(outcome, sent=sent)

    async def drain(self) -> None:
        """Return when no event waits and none is on the wire. Nothing new is accepted."""
        for lane in self._all:
            await lane.drain()

    async def aclose(self) -> None:
        """Cancel what is on the wire."""
        for lane in self._all:
            await lane.aclose()

    def _capacity(self, lane: Lane) -> int:
        """The most events in the lane's next request; 0 for no request now."""
        if self._breaker.closed:
            return 0 if self._ramp.active and lane.running else self._ramp.items
        return int(self._breaker.admits)
