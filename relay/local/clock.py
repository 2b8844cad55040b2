"""Time as an argument: the system's own, and one that a test moves by hand."""

from __future__ import annotations

import asyncio
import heapq
import itertools
import time
from typing import Protocol

START = 1_767_225_600.0  # 2026-01-01, so that no test depends on the day it runs


class Clock(Protocol):
    """What the local servers ask for. Times are seconds since the epoch, durations seconds."""

    def time(self) -> float:
        """Tell the time. It never goes back."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Return once this much time has passed on this clock."""
        ...


class SystemClock:
    """The machine's clock, kept from going back when the machine's is set."""

    def __init__(self) -> None:
        self._offset = time.time() - time.monotonic()

    def time(self) -> float:
        """Tell the time of day as it was when the clock was made, and what has passed since."""
        return self._offset + time.monotonic()

    async def sleep(self, seconds: float) -> None:
        """Return after `seconds` of real time."""
        await asyncio.sleep(seconds)


class ManualClock:
    """A clock that stands still until `advance`. For one event loop."""

    def __init__(self, now: float = START) -> None:
        self._now = now
        self._order = itertools.count()
        self._asleep: list[tuple[float, int, asyncio.Future[None]]] = []
        self._changed = asyncio.Event()

    def time(self) -> float:
        """Tell the time that was last set."""
        return self._now

    async def sleep(self, seconds: float) -> None:
        """Return when the clock has been advanced by `seconds`; at once when that is nothing."""
        if seconds <= 0:
            await asyncio.sleep(0)
            return
        woken: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        heapq.heappush(self._asleep, (self._now + seconds, next(self._order), woken))
        self._changed.set()
        await woken

    def advance(self, seconds: float) -> None:
        """Let time pass at one stroke. Sleepers whose time has come wake in the order of it.

        A sleeper that sleeps again starts from the new time: what must happen often during a long
        advance has to look at `time`, or the advance has to be made in steps.
        """
        self._now += seconds
        while self._asleep and self._asleep[0][0] <= self._now:
            woken = heapq.heappop(self._asleep)[2]
            if not woken.done():
                woken.set_result(None)

    @property
    def asleep(self) -> int:
        """How many wait for this clock."""
        return sum(not woken.done() for _, _, woken in self._asleep)

    async def until_asleep(self, count: int = 1) -> None:
        """Return when at least `count` wait for this clock: the moment to advance it."""
        while self.asleep < count:
            self._changed.clear()
            await self._changed.wait()
