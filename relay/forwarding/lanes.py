"""Lanes: where events wait for their turn, so that those at fault hold up nobody but each other."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import TypeAlias

from relay.forwarding.batcher import Batcher
from relay.forwarding.circuit_breaker import Breaker
from relay.forwarding.isolation import Again, Parcel, Ramp, Step, Suspects
from relay.model.destination import Limits
from relay.model.outcome import Outcome

Lane: TypeAlias = Batcher[Parcel, Step]


class Lanes:
    """Three lanes, each with requests of its own under way.

    `together` takes everybody, in batches. `apart` takes those whose batch failed, one event a
    request. `suspects` takes those that failed alone, one at a time, so that one that hangs until
    its timeout delays only its like. While the way is not free the only request is the probe, and
    it is the event least suspected.

    Args:
        begin: starts a request; called only when the breaker admits it, and takes the permit.
        breaker: says whether anybody may send.
        ramp: says how much.
        suspects: says who goes alone.
        limits: what one request may hold, and how many a lane may have under way.
    """

    def __init__(
        self,
        begin: Callable[[Sequence[Parcel]], Awaitable[Sequence[Step]]],
        breaker: Breaker,
        ramp: Ramp,
        suspects: Suspects,
        limits: Limits,
    ) -> None:
        self._breaker = breaker
        self._ramp = ramp
        self._suspects = suspects
        self._together: Lane = Batcher(
            begin,
            max_items=lambda: self._room(self._together),
            max_size=limits.max_bytes,
            size=_size,
            company=lambda parcel: parcel.company,
            in_flight=limits.in_flight,
        )
        self._apart: Lane = Batcher(
            begin, max_items=lambda: min(1, self._room(self._apart)), in_flight=limits.in_flight
        )
        self._alone: Lane = Batcher(
            begin, max_items=lambda: min(1, self._room(self._alone)), in_flight=1
        )
        self._all = (self._together, self._apart, self._alone)

    async def submit(self, parcel: Parcel) -> Step:
        """What came of the parcel's next attempt."""
        if parcel.event.id in self._suspects:
            return await self._alone.submit(parcel)
        lane = self._apart if parcel.company == 1 else self._together
        return await lane.submit(parcel)

    def wake(self) -> None:
        """Send what may be sent now, the least suspected first."""
        for lane in self._all:
            lane.wake()

    def rejoin(self) -> None:
        """The circuit opened, which explains the failed batches: nobody need go apart any more."""
        self._apart.dismiss(Again())

    def dismiss(self, outcome: Outcome, *, sent: bool = False) -> None:
        """Give this outcome to all that wait, with `sent` also to those on the wire."""
        for lane in self._all:
            lane.dismiss(outcome, sent=sent)

    async def drain(self) -> None:
        """Return when nothing waits and nothing is on the wire. Nothing new is taken."""
        for lane in self._all:
            await lane.drain()

    async def aclose(self) -> None:
        """Cancel what is on the wire."""
        for lane in self._all:
            await lane.aclose()

    def _room(self, lane: Lane) -> int:
        """How many events the lane's next request may hold."""
        if self._breaker.closed:
            return 0 if self._ramp.active and lane.running else self._ramp.items
        return int(self._breaker.admits)


def _size(parcel: Parcel) -> int:
    # The comma after it, or the brackets around a lone one, count too.
    return parcel.size + 2
