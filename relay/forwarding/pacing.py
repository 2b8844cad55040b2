"""A destination that is not asked faster than it should be, and not more at once than it bears."""

from __future__ import annotations

import asyncio
import math
import time
from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence

from relay.forwarding.adaptive_limit import AdaptiveLimit
from relay.model.destination import Destination, Limits, Refused, Unavailable
from relay.model.event import Event
from relay.model.outcome import Outcome


class TokenBucket:
    """Pure: it says how long to wait, and somebody else waits.

    Who takes more than there is goes into debt and waits for it to be paid, so that a batch larger
    than the bucket passes too, and callers are served in the order in which they took.

    Args:
        rate: tokens a second.
        burst: most tokens that a rest fills up; a second's worth, at least one, by default.
        clock: seconds that never go back.
    """

    def __init__(
        self,
        rate: float,
        *,
        burst: float | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._rate = rate
        self._burst = max(1.0, rate) if burst is None else burst
        self._clock = clock
        self._tokens = self._burst
        self._at = clock()

    def take(self, count: int) -> float:
        """Take so many tokens; returns the seconds until they are the caller's, 0 for now."""
        now = self._clock()
        self._tokens = min(self._burst, self._tokens + (now - self._at) * self._rate)
        self._at = now
        self._tokens -= count
        return max(0.0, -self._tokens / self._rate)

    def give_back(self, count: int) -> None:
        """Tokens that were taken and not used."""
        self._tokens = min(self._burst, self._tokens + count)


def parse_rates(texts: Sequence[str]) -> Mapping[str, float]:
    """Events a second by destination, from texts such as `20` or `webhook=20`; "" is for the rest.

    Raises:
        ValueError: one of them is none, or two are for the same.
    """
    rates = dict[str, float]()
    for text in texts:
        name, _, number = text.rpartition("=")
        rate = float(number)
        if not (rate > 0 and math.isfinite(rate)) or name.strip() in rates:
            raise ValueError("not rates such as 20 or webhook=20")
        rates[name.strip()] = rate
    return rates


def rate_of(rates: Mapping[str, float], destination: str) -> float | None:
    """The destination's own rate, else that of all; None where nothing is said."""
    return rates.get(destination, rates.get(""))


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
                        AHEAD,
                        after=error.after,
                        setting=error.setting,
                        proven=True,
                        not_accepted=True,
                    )
                )
