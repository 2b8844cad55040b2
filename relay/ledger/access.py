"""Access to the ledger's table: little patience, and none at all while the table is away."""

from __future__ import annotations

import asyncio
import random as chance
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from relay.aws.errors import QueueError
from relay.backoff import Backoff
from relay.breaker import Breaker
from relay.facts import LedgerChanged, Observe, ignore

PATIENCE = 1.0
"""Seconds that an event waits at most for one step of the ledger, all tries together."""

TRIES = 4
PAUSE = Backoff(0.05, 0.4)
"""Between tries of what the table did not get to."""

AWAY = Backoff(1.0, 30.0)
"""Between looks at a table that failed; nobody waits for it in between."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Done:
    """How far some work came: what is `left`, and why; nothing is where `reason` is empty."""

    left: Sequence[object] = ()
    reason: str = ""


class Access:
    """Repeats what the table did not get to, within bounds. Never raises for the table's sake.

    Args:
        observe: is told when the table goes away and when it is back.
        patience: seconds for one piece of work.
        clock: seconds that never go back.
        sleep: waits on that clock.
        random: jitter, 0 to 1.
    """

    def __init__(
        self,
        *,
        observe: Observe = ignore,
        patience: float = PATIENCE,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        random: Callable[[], float] = chance.random,
    ) -> None:
        self._observe = observe
        self._patience = patience
        self._clock = clock
        self._sleep = sleep
        self._random = random
        self._breaker = Breaker(outage=AWAY, clock=clock, random=random)
        self._since = clock()

    async def work_off(
        self, items: Sequence[T], call: Callable[[Sequence[T]], Awaitable[Sequence[T]]]
    ) -> Done:
        """Call with the items, and again with those that it returns as not done."""
        if not self._breaker.admits:
            return Done(items, self._breaker.reason)
        permit = self._breaker.admit()
        left = list(items)
        try:
            async with asyncio.timeout(self._patience):
                await self._try(left, call)
        except (QueueError, TimeoutError) as error:
            reason = str(error) or f"the table gave no answer in {self._patience:g} s"
            was_closed = self._breaker.closed
            if self._breaker.failed(permit, reason) and was_closed:
                self._changed(reason, away=True)
            return Done(left, reason)
        except BaseException:
            self._breaker.release(permit)
            raise
        if self._breaker.answered(permit) and permit.probe:
            self._changed("the table answers again", away=False)
        return Done(left, "the table is throttled and did not get to it" if left else "")

    async def _try(
        self, left: list[T], call: Callable[[Sequence[T]], Awaitable[Sequence[T]]]
    ) -> None:
        """Empty `left` in at most so many tries.

        Raises:
            QueueError: the table did nothing at all.
        """
        first = len(left)
        for attempt in range(1, TRIES + 1):
            try:
                left[:] = await call(left)
            except QueueError as error:
                if attempt == TRIES or not error.transient:
                    raise
            if not left:
                return
            if attempt < TRIES:
                await self._sleep(PAUSE.delay(attempt, self._random))
        if len(left) == first:
            raise QueueError("Unprocessed", "throttled", "the table is throttled and does nothing")

    def _changed(self, reason: str, *, away: bool) -> None:
        now = self._clock()
        self._observe(LedgerChanged(away=away, reason=reason, seconds=now - self._since))
        self._since = now
