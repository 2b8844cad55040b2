"""Finds stored events by their own ids, which the server cannot look up, among the newest ones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from relay.destinations.inngest.read_back import PAGE, PageTooLarge, Stored
from relay.model.event import Event

MAX_LISTED = 100 * PAGE
"""Events listed to find those whose internal ids are unknown: the newest five thousand."""


class EventLister(Protocol):
    """Lists stored events; see `ReadBack`."""

    @property
    def server_kind(self) -> str | None:
        """What the server says it is."""
        ...

    async def page(
        self, after: float, *, below: str = "", name: str = "", limit: int = PAGE
    ) -> Sequence[Stored]:
        """The newest stored events below an internal id."""
        ...


@dataclass(frozen=True, slots=True)
class Place:
    """How far a search came.

    Attributes:
        below: the last internal id that was listed; empty if none was.
        listed: how many events were listed.
        since: the time of day when the search started.
    """

    below: str
    listed: int
    since: float


class Search:
    """A walk through the newest stored events, until all of the wanted ones are found.

    Args:
        reader: lists stored events.
        events: the wanted ones.
        after: only events received since, in epoch seconds of the server's clock.
        place: where to start.

    Attributes:
        found: the internal ids, by name and id.
        pages: how many pages this walk has read.
        place: how far it came. A later search for the same events can start there.
    """

    def __init__(
        self, reader: EventLister, events: Sequence[Event], after: float, place: Place
    ) -> None:
        self._reader = reader
        self._wanted = {(event.name, event.id) for event in events}
        self._after = after
        self.found: dict[tuple[str, str], str] = {}
        self.pages = 0
        self.place = place

    async def run(self) -> None:
        """Read pages until all are found or none is left to read.

        It also ends at an event that is too large to list, because no later search could pass it.
        If it is cancelled or raises, the events that were not found may be stored all the same.
        """
        names = {name for name, _ in self._wanted}
        name = next(iter(names)) if len(names) == 1 else ""
        limit = PAGE
        while self.place.listed < MAX_LISTED and len(self.found) < len(self._wanted):
            below = self.place.below
            try:
                page = await self._reader.page(self._after, below=below, name=name, limit=limit)
            except PageTooLarge:
                if limit == 1:
                    return
                limit = max(1, limit // 8)
                continue
            limit = PAGE
            self.pages += 1
            if not page:
                return
            copies = (one for one in page if (one.name, one.id) in self._wanted)
            self.found |= {(one.name, one.id): one.internal_id for one in copies}
            listed = self.place.listed + len(page)
            self.place = replace(self.place, below=page[-1].internal_id, listed=listed)
