"""Suspects: events that failed alone, and for how long they have done so while others passed."""

from __future__ import annotations

from dataclasses import dataclass, replace

from relay.memory import Memory

REMEMBERED = 10_000
"""Events. What is forgotten starts from the beginning, nothing worse."""

ENOUGH_SECONDS = 1_800.0
ENOUGH_FAILURES = 3


@dataclass(frozen=True, slots=True)
class Record:
    """Failures that were the event's own: another event was accepted right after each."""

    failures: int = 0
    first: float = 0.0
    last: float = 0.0

    @property
    def conclusive(self) -> bool:
        """Whether the event, and not the destination, is at fault beyond doubt."""
        lasted = self.last - self.first
        return self.failures >= ENOUGH_FAILURES and lasted >= ENOUGH_SECONDS


class Suspects:
    """Remembers by event id, so that a redelivered suspect goes alone from the start."""

    def __init__(self, limit: int = REMEMBERED) -> None:
        self._records: Memory[Record] = Memory(limit)

    def __contains__(self, event_id: str) -> bool:
        return event_id in self._records

    def accuse(self, event_id: str) -> bool:
        """It failed alone. Returns whether that is new.

        Only then may it bear witness against the destination: an event that is itself a suspect
        proves nothing until it has passed.
        """
        known = self._records.get(event_id)
        if known is None:
            self._records.put(event_id, Record())
        return known is None

    def confirm(self, event_id: str, failed_at: float) -> Record:
        """Another event was accepted after this one had failed alone at `failed_at`."""
        known = self._records.get(event_id) or Record()
        first = known.first if known.failures else failed_at
        record = replace(known, failures=known.failures + 1, first=first, last=failed_at)
        self._records.put(event_id, record)
        return record

    def acquit(self, event_id: str) -> None:
        """It was answered, so there is nothing left to suspect."""
        self._records.forget(event_id)
