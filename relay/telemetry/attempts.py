"""Attempts: how often each event in hand has been sent, and with how many others at last."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from secrets import token_hex

from relay.facts import Forwarded

REMEMBERED = 50_000
"""Events. Those that never settle here, because their message was withdrawn, are forgotten."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """The last request that an event was in: its batch's name and size, and the count so far."""

    number: int
    batch: str
    batch_events: int


class Attempts:
    """Remembers the attempts of events until they are taken.

    Args:
        prefix: makes what batches of different processes and starts differ in.
        limit: how many events are remembered.
    """

    def __init__(
        self, prefix: Callable[[], str] = lambda: token_hex(3), *, limit: int = REMEMBERED
    ) -> None:
        self._prefix = prefix()
        self._limit = limit
        self._batches = 0
        self._attempts: dict[str, Attempt] = {}

    def note(self, fact: Forwarded) -> None:
        """A request ended."""
        self._batches += 1
        name = f"{self._prefix}-{self._batches}"
        first = Attempt(1, name, fact.events)
        for event in fact.sent:
            known = self._attempts.pop(event.id, None)
            self._attempts[event.id] = (
                first if known is None else Attempt(known.number + 1, name, fact.events)
            )
        while len(self._attempts) > self._limit:
            del self._attempts[next(iter(self._attempts))]

    def take(self, event_id: str) -> Attempt | None:
        """What is known about the event, which is forgotten with this."""
        return self._attempts.pop(event_id, None)
