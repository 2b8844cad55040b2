"""Events that wait to be read back: when they are looked up, and when their wait ends."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from relay.model.destination import Unavailable

FIRST_MIN = 0.02
FIRST_MAX = 4.0
"""Seconds: bounds of the wait before the first lookup. Each later one follows after a sixth of the
age.
"""

PAUSE_MAX = 5.0
"""The most seconds between two lookups of the same events."""

SINGLE_AFTER = 5.0
"""Seconds. If pages have not shown an event for so long, some are also looked up by their ids, in
case that pages do not show what is stored."""

STUCK_AFTER = 2 * PAUSE_MAX
"""Seconds without a finished lookup, after which reading back is considered to be in trouble."""

_NEWEST_WEIGHT = 0.2


class ReadLag:
    """Schedules lookups by how long events usually take to be stored. Pure; ages are in seconds."""

    def __init__(self) -> None:
        self._usual = FIRST_MIN

    def next_lookup(self, age: float) -> float:
        """The age of the next lookup for events of this age that were not stored yet."""
        if age < self._usual:
            return self._usual
        return age + min(max(age / 6, FIRST_MIN), PAUSE_MAX)

    def record(self, missed: float, found: float) -> None:
        """Record events that were missing at one age (0 for no lookup) and found at the other."""
        halfway = (missed + found) / 2
        usual = (1 - _NEWEST_WEIGHT) * self._usual + _NEWEST_WEIGHT * halfway
        self._usual = min(max(usual, FIRST_MIN), FIRST_MAX)


@dataclass(frozen=True, slots=True)
class Lookup:
    """The ids that were found. The others are not stored, unless reading back was in `trouble`."""

    found: Collection[str]
    trouble: Unavailable | None = None
    disconnected: bool = False
    """Whether any of the lookups failed in a way that may be a restart."""


class WaitingRequest:
    """The events of one request that wait to be read back.

    `size` is the mean bytes of an event, `sent_at` the time of day of the request, `due` the time
    of the next lookup, `looked_up` the age at the last one that was answered and `error` the
    failure of a later one. From `last_from` on, an answered lookup is the last one.
    `disconnected` is set if any failure may be a restart.
    """

    __slots__ = (
        "disconnected",
        "done",
        "due",
        "error",
        "found",
        "last_from",
        "left",
        "looked_up",
        "sent_at",
        "since",
        "size",
    )

    def __init__(
        self, internal_ids: Collection[str], size: int, *, sent_at: float, now: float
    ) -> None:
        self.left = set(internal_ids)
        self.found: set[str] = set()
        self.size = size
        self.sent_at = sent_at
        self.since = now
        self.last_from = math.inf
        self.looked_up: float | None = None
        self.due = now
        self.error: Unavailable | None = None
        self.disconnected = False
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def trouble(self, now: float) -> Unavailable | None:
        """Why the events that are left may be stored all the same; None if they are not."""
        if self.error is not None or not self.left:
            return self.error
        age = now - self.since
        if self.looked_up is None or age - self.looked_up > STUCK_AFTER:
            return Unavailable(f"reading events back got no answer in {age:.0f} s")
        return None


def doubtful(due: Sequence[WaitingRequest], found: Collection[str], now: float) -> Sequence[str]:
    """Two of the ids that no page showed, to be looked up singly; none if it is too early."""
    missing = sorted(
        each
        for waiting in due
        if now >= waiting.last_from or now - waiting.since >= SINGLE_AFTER
        for each in waiting.left
        if each not in found
    )
    return sorted({*missing[:1], *missing[-1:]})
