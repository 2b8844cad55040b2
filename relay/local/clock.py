"""Clocks for the local servers: the system's clock, and one that a test advances by hand."""

from __future__ import annotations

import asyncio
import heapq
import itertools
import time
from typing import Protocol

START = 1_767_225_600.0  # 2026-01-01: no test depends on the day it runs


class Clock(Protocol):
    """The clock interface of the local servers. Times are epoch seconds, durations are seconds."""

    def time(self) -> float:
        """The current time. It never goes backwards."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Return after this many seconds on this clock."""
        ...


class SystemClock:
    """The system clock, made monotonic: it does not jump when the system time is set."""

    def __init__(self) -> None:
        self._offset = time.time() - time.monotonic()

    def time(self) -> float:
        """The time of day when this clock was created, plus the time elapsed since."""
        return self._offset + time.monotonic()

    async def sleep(self, seconds: float) -> None:
        """Return after `seconds` of real time."""
        await asyncio.sleep(seconds)


class ManualClock:
    """A clock that only moves when `advance` is called. For one event loop."""

    def __init__(self, now: float = START) -> None:
        self._now = now
        self._order = itertools.count()
        self._asleep: list[tuple[float, int, asyncio.Future[None]]] = []
        self._changed = asyncio.Event()

    def time(self) -> float:
        """The current time of this clock."""
        return self._now

    async def sleep(self, seconds: float) -> None:
        """Return when the clock has been advanced by `seconds`; at once if that is 0 or less."""
        if seconds <= 0:
            await asyncio.sleep(0)
            return
        woken: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        heapq.heappush(self._asleep, (self._now + seconds, next(self._order), woken))
        self._changed.set()
        await woken

    def advance(self, seconds: float) -> None:
        """Move the clock forward in one step. Sleepers that are due wake in order of due time.

        A sleeper that sleeps again starts from the new time. Code that must run many times during
        a long advance has to check `time`, or the test has to advance in small steps.
        """
        self._now += seconds
        while self._asleep and self._asleep[0][0] <= self._now:
            woken = heapq.heappop(self._asleep)[2]
            if not woken.done():
                woken.set_result(None)

    @property
    def asleep(self) -> int:
        """The number of tasks that sleep on this clock."""
        return sum(not woken.done() for _, _, woken in self._asleep)

    async def until_asleep(self, count: int = 1) -> None:
        """Return when at least `count` tasks sleep on this clock; then it is safe to advance."""
        while self.asleep < count:
            self._changed.clear()
            await self._changed.wait()
