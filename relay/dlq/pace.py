"""A pace: so many letters a second at most."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable


class Pace:
    """Lets batches go so that their sum keeps to a rate; None is as fast as it goes."""

    def __init__(
        self,
        rate: float | None,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._rate = rate
        self._clock = clock
        self._sleep = sleep
        self._next = clock()

    async def turn(self, count: int) -> None:
        """Wait until so many more may go."""
        if self._rate is None:
            return
        now = self._clock()
        start = max(now, self._next)
        self._next = start + count / self._rate
        if start > now:
            await self._sleep(start - now)
