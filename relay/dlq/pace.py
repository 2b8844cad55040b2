"""A pace: so many letters a second at most."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine
from typing import Any

from relay.stopping import unless


class Pace:
    """Lets batches go so that their sum keeps to a rate; None is as fast as it goes.

    Once `stop` is set nobody waits: what is not to go any more is not held up either.
    """

    def __init__(
        self,
        rate: float | None,
        *,
        stop: asyncio.Event | None = None,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Coroutine[Any, Any, None]] = asyncio.sleep,
    ) -> None:
        self._rate = rate
        self._stop = stop or asyncio.Event()
        self._clock = clock
        self._sleep = sleep
        self._next = clock()

    async def turn(self, count: int) -> None:
        """Wait until so many more may go."""
        if self._rate is None or self._stop.is_set():
            return
        now = self._clock()
        start = max(now, self._next)
        self._next = start + count / self._rate
        if start > now:
            await unless(self._stop, self._sleep(start - now))
