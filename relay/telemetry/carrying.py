"""Carries the trace of the events along with each request to the destination."""

from __future__ import annotations

from collections.abc import Sequence

from relay.message import Destination, Event, Limits, Outcome
from relay.traceparent import carried, shared


class Carrying:
    """A destination whose requests bear the trace parent that their events have in common."""

    def __init__(self, destination: Destination) -> None:
        self._destination = destination

    @property
    def limits(self) -> Limits:
        """The destination's own."""
        return self._destination.limits

    async def send(self, events: Sequence[Event]) -> Sequence[Outcome]:
        """As the destination does."""
        before = carried.set(shared(events))
        try:
            return await self._destination.send(events)
        finally:
            carried.reset(before)
