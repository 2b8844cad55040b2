"""Admission: counts events in flight, times probes, and says whether to take more messages."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable

from relay.forwarding.circuit_breaker import Breaker
from relay.model.facts import CircuitChanged, Observe, ignore


class Admission:
    """Decides whether new messages should be taken, and wakes the senders when a probe is due.

    Args:
        breaker: the circuit breaker.
        wake: called when a request may be due.
        observe: called when an outage starts, becomes a halt or the reverse, and ends.
        clock: the breaker's clock.
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
        self._in_flight = 0
        self._probes = 0
        self._stopped = False
        self._reported = "closed"
        self._reported_at = clock()
        self._probe_timer: asyncio.Task[None] | None = None
        self._may_accept = asyncio.Event()
        self._refresh()

    @property
    def in_flight(self) -> int:
        """Events that entered and have not left."""
        return self._in_flight

    @property
    def accepting(self) -> bool:
        """Whether new messages should be taken; while the circuit is not closed, only one.

        One is needed when a probe is due and no event is in flight to probe with, or when every
        event in flight has been a probe and might itself be the cause of the failure.
        """
        if self._stopped or self._breaker.closed:
            return not self._stopped
        if self._in_flight == 0:
            return self._breaker.admits
        return self._probes >= self._in_flight and not self._breaker.proven

    async def wait_accepting(self) -> None:
        """Return when new messages should be taken; never after `stop`."""
        while not self.accepting:
            await self._may_accept.wait()

    def enter(self) -> None:
        """Count one more event in flight."""
        self._in_flight += 1
        self._probes = 0
        if not self._breaker.closed:
            self._refresh()

    def leave(self) -> None:
        """Count one event less, whatever its outcome."""
        self._in_flight -= 1
        if not self._breaker.closed:
            self._refresh()

    def probe_sent(self) -> None:
        """Count an event that was sent as a probe."""
        self._probes += 1
        self._refresh()

    def update(self) -> bool:
        """Follow the breaker after each request. Returns whether the circuit just left `closed`."""
        opened = self._reported == "closed" != self._breaker.circuit
        if self._reported != self._breaker.circuit:
            self._report(self._breaker.circuit)
        self._cancel_timer()
        if self._breaker.wait and not self._stopped:
            self._probe_timer = asyncio.ensure_future(self._wait_for_probe())
        self._refresh()
        return opened

    def stop(self) -> None:
        """Send no more probes and take no more messages."""
        self._stopped = True
        self._cancel_timer()
        self._refresh()

    def _report(self, circuit: str) -> None:
        """Report a change once. Failed probes are no change: an outage has one start."""
        closed = circuit == "closed"
        now = self._clock()
        fact = CircuitChanged(
            state=circuit,
            reason="the destination answers again" if closed else self._breaker.reason,
            seconds=now - self._reported_at,
            setting=self._breaker.setting,
        )
        if closed or self._reported == "closed":
            self._reported_at = now
        self._reported = circuit
        self._observe(fact)

    async def _wait_for_probe(self) -> None:
        while (wait := self._breaker.wait) > 0:
            await self._sleep(wait)
        self._refresh()

    def _cancel_timer(self) -> None:
        if self._probe_timer is not None:
            self._probe_timer.cancel()
            self._probe_timer = None

    def _refresh(self) -> None:
        if self.accepting:
            self._may_accept.set()
        else:
            self._may_accept.clear()
        if not self._breaker.closed:
            # An event that entered or left may have changed which event is the next probe.
            self._wake()
