"""In how many requests each event was sent, for the line about its message."""

from __future__ import annotations

from collections.abc import Callable
from secrets import token_hex
from typing import NamedTuple

from relay.model.facts import Forwarded

MAX_ATTEMPTS = 50_000
"""Events whose attempts are kept. The oldest are dropped: a cancelled delivery gets no line."""


class Attempt(NamedTuple):
    """How many requests contained an event, and the name and size of the last one's batch."""

    number: int
    batch: str
    batch_events: int


class Attempts(dict[str, Attempt]):
    """The attempts of each event, by the event's id, until they are removed for its line.

    Args:
        prefix: makes the start of all batch names, different in each process and at each start.
        limit: the number of events to keep.
    """

    def __init__(
        self, prefix: Callable[[], str] = lambda: token_hex(3), *, limit: int = MAX_ATTEMPTS
    ) -> None:
        super().__init__()
        self._prefix = prefix()
        self._limit = limit
        self._batches = 0

    def record(self, fact: Forwarded) -> None:
        """Count a request that ended."""
        self._batches += 1
        name = f"{self._prefix}-{self._batches}"
        sent = dict.fromkeys([event.id for event in fact.sent], Attempt(1, name, fact.events))
        if not self.keys().isdisjoint(sent):
            for again in self.keys() & sent:
                sent[again] = Attempt(self.pop(again).number + 1, name, fact.events)
        self.update(sent)
        while len(self) > self._limit:
            del self[next(iter(self))]
