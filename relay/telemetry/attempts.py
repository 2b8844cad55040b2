"""Attempts: how often each event in hand has been sent, and with how many others at last."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from secrets import token_hex

from relay.facts import Forwarded
from relay.memory import Memory

REMEMBERED = 50_000
"""Events. Those that never settle here, because their message was withdrawn, are forgotten."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """The last request that an event was in: its batch's name and size, and the count so far."""

    number: int
    batch: str
    batch_events: int


class Attempts:
    """Remembers the attempts of events until they are taken."""

    def __init__(self, prefix: Callable[[], str] = lambda: token_hex(3)) -> None:
        # Batches of different processes and starts must not share names.
        self._prefix = prefix()
        self._batches = 0
        self._attempts: Memory[Attempt] = Memory(REMEMBERED)

    def note(self, fact: Forwarded) -> None:
        """A request ended."""
        self._batches += 1
        name, size = f"{self._prefix}-{self._batches}", fact.events
        for event in fact.sent:
            known = self._attempts.get(event.id)
            self._attempts.put(event.id, Attempt(known.number + 1 if known else 1, name, size))

    def take(self, event_id: str) -> Attempt | None:
        """What is known about the event, which is forgotten with this."""
        known = self._attempts.get(event_id)
        self._attempts.forget(event_id)
        return known
