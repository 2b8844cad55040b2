"""Suspects: events that failed alone, and for how long they have done so while others passed."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from enum import Enum
from typing import Any, TypeAlias

from msgspec import Struct

from relay.model.event import Event
from relay.model.lru import LruCache
from relay.model.outcome import Outcome

FIRST = 2
"""Events in the first request after a probe, which was one, has passed."""


class Ramp:
    """How many events a request may hold. While `active`, each kind of request goes one by one."""

    def __init__(self, full: int) -> None:
        self._full = full
        self._items = full

    @property
    def items(self) -> int:
        """Most events in the next request."""
        return self._items

    @property
    def active(self) -> bool:
        """Whether the full size has not been reached yet."""
        return self._items < self._full

    def restart(self) -> None:
        """The way was closed and is free again."""
        self._items = min(self._full, FIRST)

    def grow(self) -> None:
        """A request was answered: the next may be twice as large."""
        self._items = min(self._full, self._items * 2)


ALL = sys.maxsize
"""The company of an event that nobody suspects."""


class Parcel(Struct, frozen=True):
    """An event on its way, its bytes on the wire, and how many may travel with it, itself included.

    `named` is True for one that the destination's last answer pointed at.
    """

    event: Event
    size: int
    company: int = ALL
    named: bool = False


class Again(Struct, frozen=True):
    """Not settled: send it once more, in this company."""

    company: int = ALL
    named: bool = False


class Alone(Struct, frozen=True):
    """Not settled: it failed alone at `at` on the clock, and whose fault that is remains open."""

    reason: str
    at: float
    after: float | None = None


Step: TypeAlias = Outcome | Again | Alone
"""What comes next for an event after an attempt."""


class Hints:
    """Whether to believe a destination that names the event at fault.

    It is believed until an event that it named passes alone, and again after one did not.
    """

    def __init__(self) -> None:
        self._believed = True

    def learn(self, *, passed: bool) -> None:
        """An event that was named has been tried alone."""
        self._believed = not passed

    def split(self, parcels: Sequence[Parcel], suspect: int | None) -> list[Again]:
        """After a refusal: the suspect alone and the others together, or everybody in halves.

        Each refusal makes the groups smaller, so even a destination that always lies ends with
        every event alone.
        """
        if suspect is None or not self._believed or not 0 <= suspect < len(parcels):
            return [Again(max(1, len(parcels) // 2))] * len(parcels)
        others = [Again(parcel.company) for parcel in parcels]
        others[suspect] = Again(1, named=True)
        return others


class News(Enum):
    """What ended a wait."""

    PASSED = "another event was accepted: the fault is the event's"
    CHANGED = "the circuit opened, or everything stops: the fault may be the destination's"
    NOTHING = "nobody else came along in time"


class Hearing:
    """Where events wait for news. Each is its caller's coroutine, so there are only as many."""

    def __init__(self, sleep: Callable[[float], Awaitable[None]] = asyncio.sleep) -> None:
        self._sleep = sleep
        self._waiting: set[asyncio.Future[News]] = set()

    def __len__(self) -> int:
        return len(self._waiting)

    async def wait(self, seconds: float) -> News:
        """The first news from now on, `NOTHING` after `seconds`."""
        news: asyncio.Future[News] = asyncio.get_running_loop().create_future()
        pause = asyncio.ensure_future(self._sleep(seconds))
        either: set[asyncio.Future[Any]] = {news, pause}
        self._waiting.add(news)
        try:
            await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._waiting.discard(news)
            pause.cancel()
        return news.result() if news.done() else News.NOTHING

    def tell(self, news: News) -> None:
        """All that wait now get these news."""
        for waiting in self._waiting:
            if not waiting.done():
                waiting.set_result(news)


class Evidence:
    """Remembers the first witness of each kind of failure until the destination answers anybody."""

    def __init__(self) -> None:
        self._witnesses: dict[str | None, str] = {}

    def suffices(self, event_id: str, setting: str | None) -> bool:
        """This event failed alone; True when another one has failed alike before.

        Failures are alike when they speak of the same setting, or of none: an outage shows itself
        as timeouts, resets and 502s in turn.
        """
        return self._witnesses.setdefault(setting, event_id) != event_id

    def clear(self) -> None:
        """Somebody got a well-formed answer, or the case is closed."""
        self._witnesses.clear()


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
        self._records: LruCache[Record] = LruCache(limit)

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
