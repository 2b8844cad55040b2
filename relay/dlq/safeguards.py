"""Canaries: a few letters that go first, and the rest only if every one of them was delivered."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from itertools import zip_longest
from typing import Any

from relay.dlq.plan import Plan
from relay.dlq.prediction import LedgerReader, LedgerState
from relay.model.event import Event
from relay.process import unless_stopped

POLL = 2.0
"""Seconds between two questions to the ledger."""


def choose_canary(plan: Plan, count: int) -> frozenset[str]:
    """MessageIds of so many letters that would go, and at least one of each group."""
    ranks = zip_longest(*(part.first for _, part in plan.largest()))
    in_turn = [one for rank in ranks for one in rank if one is not None]
    groups = sum(bool(part.first) for part in plan.parts.values())
    return frozenset(in_turn[: max(count, groups)])


async def await_canary(
    memory: LedgerReader,
    events: Sequence[Event],
    *,
    since: float,
    deadline: float,
    clock: Callable[[], float] = time.time,
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
) -> str | None:
    """Wait until the ledger knows each event as delivered; why that did not come to pass, or None.

    `since` is when the canaries went, in epoch seconds: an older dead letter says nothing about
    them. `deadline` is in seconds from now.
    """
    end = clock() + deadline
    while True:
        known = await memory.look_up(events)
        dead = [e for e, k in zip(events, known, strict=True) if _dead(k, since)]
        if dead:
            return f"{len(dead)} of the canary's events died again, such as {dead[0].id}"
        open_ = [e for e, k in zip(events, known, strict=True) if not _delivered(k)]
        if not open_:
            return None
        if clock() >= end:
            return (
                f"{len(open_)} of the canary's events have no outcome after {deadline:g} s, such as"
                f" {open_[0].id}"
            )
        await sleep(POLL)


def _delivered(known: LedgerState | None) -> bool:
    return known is not None and known.delivered_at is not None


def _dead(known: LedgerState | None, since: float) -> bool:
    at = known.dead_lettered_at if known is not None else None
    return at is not None and at >= since and not _delivered(known)


LAG = 90.0
"""Seconds that SQS's counters may be behind; it says that they settle within a minute."""

FEW = 10
SHARE = 0.1
"""So many, or this share of what was brought, may come back before a person should look."""


class GrowthGuard:
    """Compares what the queue holds with what it would hold if nothing had come.

    Args:
        start: how much it held when the run began.
        few: so many newcomers are always let pass.
        lag: seconds after which the counters have surely seen a delete.
        clock: seconds that never go back.
    """

    def __init__(
        self,
        start: int,
        *,
        few: float = FEW,
        lag: float = LAG,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._start = start
        self._few = few
        self._lag = lag
        self._clock = clock
        self._deleted: deque[tuple[float, int]] = deque()
        self._surely = 0

    def problem(self, held: int, deleted: int, brought: int, came: int) -> str | None:
        """Why the run should end, or None.

        Args:
            held: what the counters say that the queue holds.
            deleted: what this run has deleted.
            brought: what it has brought away.
            came: letters met that came after the run began.
        """
        now = self._clock()
        self._deleted.append((now, deleted))
        while self._deleted and self._deleted[0][0] <= now - self._lag:
            self._surely = self._deleted.popleft()[1]
        grown = max(came, held + self._surely - self._start)
        if grown <= max(self._few, SHARE * brought):
            return None
        return (
            f"the dead-letter queue has grown by {grown} messages while {brought} were brought"
            " back: what goes wrong there still does, so mend it first"
        )


class RateLimit:
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
            await unless_stopped(self._stop, self._sleep(start - now))
