"""The way in from the queue: what its errors mean for the next receive."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from relay.aws.errors import AwsError
from relay.model.facts import Observe, ReceivingChanged, ignore
from relay.sources.poller.lease import now

HALTING = ("denied", "kms", "missing", "misconfigured")
"""Kinds of error that a person has to mend."""

HALTED_FOR = 30.0
"""Seconds between tries of what a person has to mend; keys and permissions do get mended."""

FIRST_PAUSE = 0.2
LONGEST_PAUSE = 20.0


@dataclass(slots=True)
class _Trouble:
    error: AwsError
    until: float
    failures: int = 1

    @property
    def state(self) -> str:
        return "halted" if self.error.kind in HALTING else "backing-off"


class ReceiveHealth:
    """Remembers which calls fail and when the next receive may be tried.

    Nothing is received while any call that belongs to taking or settling messages is in trouble:
    what cannot be deleted should not be taken either.
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
        self._troubles: dict[str, _Trouble] = {}
        self._state = "open"
        self._reason = ""
        self._since = clock()

    @property
    def state(self) -> str:
        """`open`, `backing-off` or `halted`."""
        return self._state

    @property
    def reason(self) -> str:
        """Why it is not open, as a sentence."""
        return self._reason

    def failed(self, call: str, error: AwsError) -> None:
        """This call failed; the next receive waits for it."""
        known = self._troubles.get(call)
        failures = known.failures + 1 if known else 1
        until = self._clock() + self._pause(error, failures)
        self._troubles[call] = _Trouble(error, until, failures)
        self._tell()

    def passed(self, call: str) -> None:
        """This call was answered, so that passing trouble of the others is past after its pause.

        What failed is not always tried again: its lease may have ended.
        """
        if not self._troubles:
            return
        now = self._clock()
        self._troubles = {
            name: trouble
            for name, trouble in self._troubles.items()
            if name != call and (trouble.state == "halted" or trouble.until > now)
        }
        self._tell()

    async def clear(self) -> None:
        """Return when it is time for another receive."""
        while (wait := self._remaining()) > 0:
            await self._sleep(wait)

    def _remaining(self) -> float:
        if not self._troubles:
            return 0.0
        return max(trouble.until for trouble in self._troubles.values()) - self._clock()

    def _pause(self, error: AwsError, failures: int) -> float:
        if error.kind in HALTING:
            return self._uniform(0.8, 1.2) * HALTED_FOR
        longest = min(LONGEST_PAUSE, FIRST_PAUSE * 2.0 ** min(failures, 16))
        return self._uniform(0.5, 1.0) * longest

    def _tell(self) -> None:
        """State a change once, not at each failure."""
        worst = max(self._troubles.values(), key=lambda one: one.state, default=None)
        state = worst.state if worst else "open"
        reason = worst.error.sentence if worst else ""
        if state != self._state:
            lasted = self._clock() - self._since
            self._observe(ReceivingChanged(state=state, reason=reason, seconds=lasted))
            self._since = self._clock()
        self._state, self._reason = state, reason
