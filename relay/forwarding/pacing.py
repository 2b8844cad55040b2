"""Pacing: limits a destination's rate of events and its number of concurrent requests."""

from __future__ import annotations

import asyncio
import math
import time
from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence

from relay.forwarding.adaptive_limit import AdaptiveLimit
from relay.model.destination import BatchRefused, Destination, Limits, Unavailable
from relay.model.event import Event
from relay.model.outcome import Outcome


class TokenBucket:
    """A rate limit that returns how long to wait; the caller does the waiting.

    The balance may become negative, so a batch larger than the bucket passes too, and callers are
    served in the order in which they take.

    Args:
        rate: tokens a second.
        burst: the most tokens the bucket holds; by default one second's worth, at least one.
        clock: monotonic seconds.
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
        self._updated_at = clock()

    def take(self, count: int) -> float:
        """Take `count` tokens; returns the seconds to wait before they may be used, 0 for none."""
        now = self._clock()
        self._tokens = min(self._burst, self._tokens + (now - self._updated_at) * self._rate)
        self._updated_at = now
        self._tokens -= count
        return max(0.0, -self._tokens / self._rate)

    def give_back(self, count: int) -> None:
        """Return tokens that were taken and not used."""
        self._tokens = min(self._burst, self._tokens + count)


def parse_rates(texts: Sequence[str]) -> Mapping[str, float]:
    """Events a second by destination, from texts such as `20` or `webhook=20`; "" is the default.

    Raises:
        ValueError: a text is not a rate, or two are for the same destination.
    """
    rates = dict[str, float]()
    for text in texts:
        name, _, number = text.rpartition("=")
        rate = float(number)
        if not (rate > 0 and math.isfinite(rate)) or name.strip() in rates:
            raise ValueError("not a rate such as 20 or webhook=20")
        rates[name.strip()] = rate
    return rates


def rate_of(rates: Mapping[str, float], destination: str) -> float | None:
    """The destination's own rate, else the default; None for no limit."""
    return rates.get(destination, rates.get(""))


NOT_SENT = "not sent, because the destination has just failed other requests"


class PacedDestination:
    """A destination whose requests wait here for their turn, in order.

    When the destination certainly fails, the waiting requests fail too, unsent. There are never
    more requests here than the destination's own limit of concurrent ones.

    Args:
        inner: the destination.
        bucket: limits events a second; None for no limit.
        limit: limits concurrent requests; None for the limit of `inner`.
        clock: monotonic seconds.
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
        self._waiting: deque[asyncio.Future[None]] = deque()

    @property
    def limits(self) -> Limits:
        """The destination's own limits."""
        return self._inner.limits

    @property
    def concurrency(self) -> int:
        """The most concurrent requests for now."""
        return self.limits.in_flight if self._limit is None else self._limit.value

    async def send(self, events: Sequence[Event]) -> Sequence[Outcome]:
        """Send as the destination does, after waiting for a turn.

        Raises:
            Unavailable: the destination's, or unsent because the destination failed meanwhile.
            BatchRefused: the destination's.
        """
        await self._acquire_slot()
        try:
            await self._take_tokens(len(events))
            return await self._send_measured(events)
        finally:
            self._running -= 1
            self._grant_slots()

    async def _acquire_slot(self) -> None:
        if self._running < self.concurrency and not self._waiting:
            self._running += 1
            return
        slot: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(slot)
        try:
            await slot
        except asyncio.CancelledError:
            if slot.done() and not slot.cancelled() and slot.exception() is None:
                # Granted just before the caller was cancelled: the next caller gets it.
                self._running -= 1
                self._grant_slots()
            raise

    def _grant_slots(self) -> None:
        while self._waiting and self._running < self.concurrency:
            slot = self._waiting.popleft()
            if not slot.done():
                self._running += 1
                slot.set_result(None)

    async def _take_tokens(self, count: int) -> None:
        if self._bucket is None:
            return
        wait = self._bucket.take(count)
        try:
            if wait:
                await self._sleep(wait)
        except asyncio.CancelledError:
            self._bucket.give_back(count)
            raise

    async def _send_measured(self, events: Sequence[Event]) -> Sequence[Outcome]:
        start = self._clock()
        try:
            outcomes = await self._inner.send(events)
        except Unavailable as error:
            self._record(start, overloaded=error.setting is None)
            self._fail_waiting(error)
            raise
        except BatchRefused:
            self._record(start, overloaded=False)
            raise
        self._record(start, overloaded=False)
        return outcomes

    def _record(self, start: float, *, overloaded: bool) -> None:
        if self._limit is not None:
            self._limit.record(self._clock() - start, self._running, overloaded=overloaded)

    def _fail_waiting(self, error: Unavailable) -> None:
        """Fail the requests that the forwarder sent before it knew of this failure."""
        if not error.proven:
            return
        while self._waiting:
            slot = self._waiting.popleft()
            if not slot.done():
                slot.set_exception(
                    Unavailable(
                        NOT_SENT,
                        after=error.after,
                        setting=error.setting,
                        proven=True,
                        not_accepted=True,
                    )
                )
