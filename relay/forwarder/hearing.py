"""The hearing: an event that failed alone waits for news that tell whose fault it was."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from enum import Enum
from typing import Any


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
