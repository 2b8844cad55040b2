"""Suspects: events that failed alone, and the evidence for or against them.

An event that fails alone is a suspect. It is at fault once other events are accepted while it keeps
failing. The destination is at fault when two different events fail alone in the same way.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from enum import Enum
from typing import Any

from relay.model.lru import LruCache

MAX_SUSPECTS = 10_000
"""Suspects remembered, by event id. A forgotten one only starts from the beginning."""

CONCLUSIVE_SECONDS = 1_800.0
CONCLUSIVE_FAILURES = 3
"""How long and how often an event must fail alone before it is rejected."""


class WaitEnd(Enum):
    """Why a wait for a witness ended."""

    OTHER_ACCEPTED = "another event was accepted: the failure is the event's own"
    STATE_CHANGED = "the circuit opened or the forwarder stops: it may be the destination's"
    TIMED_OUT = "no other event was accepted in time"


class WitnessWaits:
    """Waits of events that failed alone, until another event shows whose fault that was.

    Each wait runs in its caller's coroutine, so there are never more waits than callers.
    """

    def __init__(self, sleep: Callable[[float], Awaitable[None]] = asyncio.sleep) -> None:
        self._sleep = sleep
        self._waiting: set[asyncio.Future[WaitEnd]] = set()

    def __len__(self) -> int:
        return len(self._waiting)

    async def wait(self, seconds: float) -> WaitEnd:
        """Wait until `end_all` is called; `TIMED_OUT` after `seconds`."""
        end: asyncio.Future[WaitEnd] = asyncio.get_running_loop().create_future()
        timeout = asyncio.ensure_future(self._sleep(seconds))
        either: set[asyncio.Future[Any]] = {end, timeout}
        self._waiting.add(end)
        try:
            await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._waiting.discard(end)
            timeout.cancel()
        return end.result() if end.done() else WaitEnd.TIMED_OUT

    def end_all(self, reason: WaitEnd) -> None:
        """End all current waits for this reason."""
        for waiting in self._waiting:
            if not waiting.done():
                waiting.set_result(reason)


class Evidence:
    """The first event that failed alone for each kind of failure, until any event is answered.

    Where the events' environment may be the cause, it is the first environment instead: any number
    of events of one environment say nothing about the destination.
    """

    def __init__(self) -> None:
        self._witnesses: dict[str | None, str] = {}
        self._environments: dict[str | None, str] = {}

    def suffices(self, event_id: str, setting: str | None, environment: str | None = None) -> bool:
        """Record that this event failed alone; True when another one failed alike before.

        Failures are alike when they name the same setting, or none: one outage can appear as
        timeouts, resets and 502s in turn.

        Args:
            event_id: the event.
            setting: the setting that the failure names, if any.
            environment: the event's environment if that may be the cause.
        """
        if environment is not None:
            return self._environments.setdefault(setting, environment) != environment
        return self._witnesses.setdefault(setting, event_id) != event_id

    def clear(self) -> None:
        """Forget everything: an event got a well-formed answer, or the circuit has opened."""
        self._witnesses.clear()
        self._environments.clear()


@dataclass(frozen=True, slots=True)
class SuspectRecord:
    """Failures that were the event's own: another event was accepted right after each."""

    failures: int = 0
    first: float = 0.0
    last: float = 0.0

    @property
    def conclusive(self) -> bool:
        """Whether the event, and not the destination, is certainly at fault."""
        lasted = self.last - self.first
        return self.failures >= CONCLUSIVE_FAILURES and lasted >= CONCLUSIVE_SECONDS


class Suspects:
    """Events that failed alone, by id: a redelivered suspect is sent alone from the start.

    `ids` is a live view of their ids.
    """

    def __init__(self, limit: int = MAX_SUSPECTS) -> None:
        self._records: LruCache[SuspectRecord] = LruCache(limit)
        self.ids = self._records.keys

    def __contains__(self, event_id: str) -> bool:
        return event_id in self._records

    def add(self, event_id: str) -> bool:
        """Record that the event failed alone. Returns whether it was no suspect before.

        Only a new suspect is evidence against the destination: the further failures of an event
        that may be at fault itself prove nothing until it has been accepted.
        """
        known = self._records.get(event_id)
        if known is None:
            self._records.put(event_id, SuspectRecord())
        return known is None

    def record_failure(self, event_id: str, failed_at: float) -> SuspectRecord:
        """Record that another event was accepted after this one failed alone at `failed_at`."""
        known = self._records.get(event_id) or SuspectRecord()
        first = known.first if known.failures else failed_at
        record = replace(known, failures=known.failures + 1, first=first, last=failed_at)
        self._records.put(event_id, record)
        return record

    def clear(self, event_id: str) -> None:
        """Forget the event: it was answered, so it is no longer a suspect."""
        self._records.forget(event_id)
