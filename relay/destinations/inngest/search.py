"""Finds stored events by their own ids, which the server cannot look up, among the newest ones."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from relay.destinations.inngest.read_back import PAGE, PageTooLarge, Stored
from relay.model.event import Event

MAX_PAGES = 100
"""Pages read to find events whose internal ids are unknown: the newest five thousand events."""


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


class Search:
    """A walk through the newest stored events, until all of the wanted ones are found."""

    def __init__(self, reader: EventLister, events: Sequence[Event], after: float) -> None:
        self._reader = reader
        self._wanted = {(event.name, event.id) for event in events}
        self._after = after
        self.found: dict[tuple[str, str], str] = {}
        self.pages = 0

    async def run(self) -> None:
        """Read pages. Ends early, as an incomplete search, where events are too large to list."""
        names = {name for name, _ in self._wanted}
        name, below = next(iter(names)) if len(names) == 1 else "", ""
        limit = PAGE
        while self.pages < MAX_PAGES and len(self.found) < len(self._wanted):
            try:
                page = await self._reader.page(self._after, below=below, name=name, limit=limit)
            except PageTooLarge:
                if limit == 1:
                    return
                limit = max(1, limit // 8)
                continue
            self.pages += 1
            copies = (one for one in page if (one.name, one.id) in self._wanted)
            self.found |= {(one.name, one.id): one.internal_id for one in copies}
            if not page:
                return
            below = page[-1].internal_id
