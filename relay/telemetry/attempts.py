"""Attempts: how often each event in hand has been sent, and with how many others at last."""

from __future__ import annotations

from collections.abc import Callable
from secrets import token_hex
from typing import NamedTuple

from relay.facts import Forwarded

REMEMBERED = 50_000
"""Events. Those that never settle here, because their message was withdrawn, are forgotten."""


class Attempt(NamedTuple):
    """The last request that an event was in: its batch's name and size, and the count so far."""

    number: int
    batch: str
    batch_events: int


class Attempts(dict[str, Attempt]):
    """The attempts of events, by the events' ids. Whoever tells of one takes it out.

    Args:
        prefix: makes what batches of different processes and starts differ in.
        limit: how many events are remembered.
    """

    def __init__(
        self, prefix: Callable[[], str] = lambda: token_hex(3), *, limit: int = REMEMBERED
    ) -> None:
        super().__init__()
        self._prefix = prefix()
        self._limit = limit
        self._batches = 0

    def note(self, fact: Forwarded) -> None:
        """A request ended."""
        self._batches += 1
        name = f"{self._prefix}-{self._batches}"
        sent = dict.fromkeys([event.id for event in fact.sent], Attempt(1, name, fact.events))
        if not self.keys().isdisjoint(sent):
            for again in self.keys() & sent:
                sent[again] = Attempt(self.pop(again).number + 1, name, fact.events)
        self.update(sent)
        while len(self) > self._limit:
            del self[next(iter(self))]
