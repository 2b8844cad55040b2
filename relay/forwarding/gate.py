"""The way to the destination: whether it is free, when it is tried, and who is told about it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable

from relay.forwarding.circuit_breaker import Breaker
from relay.model.facts import CircuitChanged, Observe, ignore


class Way:
    """Counts what is in hand, sets the alarm for the next probe, states an outage's start and end.

    Args:
        breaker: knows whether the way is free.
        wake: called when a request may be due.
        observe: is told of an outage's start, of its turning into a halt or back, and of its end.
        clock: the breaker's.
        sleep: waits on that clock.
    """

    def __init__(
        self,
        breaker: Breaker,
        wake: Callable[[], None],
        *,
        observe: Observe = ignore,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._breaker = breaker
        self._wake = wake
        self._observe = observe
        self._clock = clock
        self._sleep = sleep
        self._in_hand = 0
        self._probes = 0
        self._stopped = False
        self._told = "closed"
        self._told_at = clock()
        self._alarm: asyncio.Task[None] | None = None
        self._wanted = asyncio.Event()
        self._look()

    @property
    def in_hand(self) -> int:
        """Events that came and have not gone."""
        return self._in_hand

    @property
    def accepting(self) -> bool:
        """Whether new messages should be taken; while the way is not free, one.

        One is needed then when a probe is due and nothing is in hand to probe with, or when all in
        hand have been tried and might be at fault themselves.
        """
        if self._stopped or self._breaker.closed:
            return not self._stopped
        if self._in_hand == 0:
            return self._breaker.admits
        return self._probes >= self._in_hand and not self._breaker.proven

    async def wait_accepting(self) -> None:
        """Return when new messages should be taken; never after `stop`."""
        while not self.accepting:
            await self._wanted.wait()

    def come(self) -> None:
        """One more event is in hand."""
        self._in_hand += 1
        self._probes = 0
        if not self._breaker.closed:
            self._look()

    def go(self) -> None:
        """An event left, whatever became of it."""
        self._in_hand -= 1
        if not self._breaker.closed:
            self._look()

    def probed(self) -> None:
        """An event was chosen for a probe."""
        self._probes += 1
        self._look()

    def turn(self) -> bool:
        """Look at the breaker after each request. Returns whether the way was free until now."""
        opened = self._told == "closed" != self._breaker.circuit
        if self._told != self._breaker.circuit:
            self._tell(self._breaker.circuit)
        self._disarm()
        if self._breaker.wait and not self._stopped:
            self._alarm = asyncio.ensure_future(self._ring())
        self._look()
        return opened

    def stop(self) -> None:
        """Probe no more, want nothing more."""
        self._stopped = True
        self._disarm()
        self._look()

    def _tell(self, circuit: str) -> None:
        """State a change once. Probes that fail change nothing: an outage has one start."""
        closed = circuit == "closed"
        now = self._clock()
        fact = CircuitChanged(
            state=circuit,
            reason="the destination answers again" if closed else self._breaker.reason,
            seconds=now - self._told_at,
            setting=self._breaker.setting,
        )
        if closed or self._told == "closed":
            self._told_at = now
        self._told = circuit
        self._observe(fact)

    async def _ring(self) -> None:
        while (wait := self._breaker.wait) > 0:
            await self._sleep(wait)
        self._look()

    def _disarm(self) -> None:
        if self._alarm is not None:
            self._alarm.cancel()
            self._alarm = None

    def _look(self) -> None:
        if self.accepting:
            self._wanted.set()
        else:
            self._wanted.clear()
        if not self._breaker.closed:
            # Whose turn the probe is may have changed with whoever came or went.
            self._wake()
