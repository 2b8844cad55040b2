"""A destination that is not asked faster than it should be, and not more at once than it bears."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable, Sequence

from relay.message import Destination, Event, Limits, Outcome, Refused, Unavailable
from relay.pacing.bucket import TokenBucket
from relay.pacing.limit import AdaptiveLimit

AHEAD = "the destination has just failed others, so this was not sent"


class Paced:
    """Requests wait here for their turn, in order; a failure sends those that wait back unsent.

    There are never more of them than the destination's own limit of requests at once.

    Args:
        inner: the destination.
        bucket: how many events a second; None for no limit.
        limit: how many requests at once; None for as many as `inner` takes.
        clock: seconds that never go back.
        sleep: waits on that clock.
    """

    def __init__(
        self,
        inner: Destination,
        *,
        bucket: TokenBucket | None = None,
        limit: AdaptiveLimit | None = None,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._inner = inner
        self._bucket = bucket
        self._limit = limit
        self._clock = clock
        self._sleep = sleep
        self._running = 0
        self._turns: deque[asyncio.Future[None]] = deque()

    @property
    def limits(self) -> Limits:
        """What `send` takes at once."""
        return self._inner.limits

    @property
    def concurrency(self) -> int:
        """Most requests at once for now."""
        return self.limits.in_flight if self._limit is None else self._limit.value

    async def send(self, events: Sequence[Event]) -> Sequence[Outcome]:
        """As the destination's own, later.

        Raises:
            Unavailable: also, unsent, when the destination failed others meanwhile.
            Refused: as the destination does.
        """
        await self._turn()
        try:
            await self._token(len(events))
            return await self._measured(events)
        finally:
            self._running -= 1
            self._next()

    async def _turn(self) -> None:
        if self._running < self.concurrency and not self._turns:
            self._running += 1
            return
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._turns.append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled() and turn.exception() is None:
                # Given just before the caller left: the next one takes it.
                self._running -= 1
                self._next()
            raise

    def _next(self) -> None:
        while self._turns and self._running < self.concurrency:
            turn = self._turns.popleft()
            if not turn.done():
                self._running += 1
                turn.set_result(None)

    async def _token(self, count: int) -> None:
        if self._bucket is None:
            return
        wait = self._bucket.take(count)
        try:
            if wait:
                await self._sleep(wait)
        except asyncio.CancelledError:
            self._bucket.give_back(count)
            raise

    async def _measured(self, events: Sequence[Event]) -> Sequence[Outcome]:
        start = self._clock()
        try:
            outcomes = await self._inner.send(events)
        except Unavailable as error:
            self._ended(start, complained=error.setting is None)
            self._send_back(error)
            raise
        except Refused:
            self._ended(start, complained=False)
            raise
        self._ended(start, complained=False)
        return outcomes

    def _ended(self, start: float, *, complained: bool) -> None:
        if self._limit is not None:
            self._limit.ended(self._clock() - start, self._running, complained=complained)

    def _send_back(self, error: Unavailable) -> None:
        """Who waits was let through before the failure was known; the forwarder knows better."""
        if not error.proven:
            return
        while self._turns:
            turn = self._turns.popleft()
            if not turn.done():
                turn.set_exception(
                    Unavailable(
                        AHEAD, after=error.after, setting=error.setting, proven=True, untaken=True
                    )
                )
