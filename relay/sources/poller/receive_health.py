"""Receive health: whether calls to the queue fail, and when the next receive may be tried."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from relay.aws.errors import AwsError
from relay.model.facts import Observe, ReceivingChanged, ignore
from relay.sources.poller.lease import now

HALTING = ("denied", "kms", "missing", "misconfigured")
"""Kinds of errors that a person has to fix."""

HALTED_PAUSE = 30.0
"""Seconds between tries while halted: keys and permissions do get fixed meanwhile."""

FIRST_PAUSE = 0.2
MAX_PAUSE = 20.0


@dataclass(slots=True)
class _Failure:
    error: AwsError
    until: float
    count: int = 1

    @property
    def state(self) -> str:
        return "halted" if self.error.kind in HALTING else "backing-off"


class ReceiveHealth:
    """Remembers which calls fail and when the next receive may be tried.

    Nothing is received while any call for receiving or settling fails: a message that cannot be
    deleted should not be received either.
    """

    def __init__(
        self,
        *,
        observe: Observe = ignore,
        clock: Callable[[], float] = now,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        uniform: Callable[[float, float], float] = random.uniform,
    ) -> None:
        self._observe = observe
        self._clock = clock
        self._sleep = sleep
        self._uniform = uniform
        self._failures: dict[str, _Failure] = {}
        self._state = "open"
        self._reason = ""
        self._since = clock()

    @property
    def state(self) -> str:
        """`open`, `backing-off` or `halted`."""
        return self._state

    @property
    def reason(self) -> str:
        """Why it is not open, as a sentence; empty while it is."""
        return self._reason

    def failed(self, call: str, error: AwsError) -> None:
        """Record that this call failed; it delays the next receive."""
        before = self._failures.get(call)
        count = before.count + 1 if before else 1
        until = self._clock() + self._pause(error, count)
        self._failures[call] = _Failure(error, until, count)
        self._update()

    def succeeded(self, call: str) -> None:
        """Record that this call succeeded.

        It also ends the transient failures of other calls whose pause is over: they may never be
        repeated, because their leases have ended.
        """
        if not self._failures:
            return
        now = self._clock()
        self._failures = {
            name: failure
            for name, failure in self._failures.items()
            if name != call and (failure.state == "halted" or failure.until > now)
        }
        self._update()

    async def wait_clear(self) -> None:
        """Return when a receive may be tried."""
        while (wait := self._remaining()) > 0:
            await self._sleep(wait)

    def _remaining(self) -> float:
        if not self._failures:
            return 0.0
        return max(failure.until for failure in self._failures.values()) - self._clock()

    def _pause(self, error: AwsError, count: int) -> float:
        if error.kind in HALTING:
            return self._uniform(0.8, 1.2) * HALTED_PAUSE
        longest = min(MAX_PAUSE, FIRST_PAUSE * 2.0 ** min(count, 16))
        return self._uniform(0.5, 1.0) * longest

    def _update(self) -> None:
        """Report a change of state once, not at each failure."""
        worst = max(self._failures.values(), key=lambda one: one.state, default=None)
        state = worst.state if worst else "open"
        reason = worst.error.sentence if worst else ""
        if state != self._state:
            lasted = self._clock() - self._since
            self._observe(ReceivingChanged(state=state, reason=reason, seconds=lasted))
            self._since = self._clock()
        self._state, self._reason = state, reason
