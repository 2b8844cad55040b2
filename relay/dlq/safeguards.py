"""Safeguards of a redrive: the canary, the guard against a growing queue, and the rate limit."""

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
"""Seconds between two reads of the ledger."""

LAG = 90.0
"""Seconds that SQS's counters may be behind. SQS documents that they settle within a minute."""

MAX_GROWTH = 10
MAX_GROWTH_SHARE = 0.1
"""The queue may grow by this many messages, or by this share of those that are done, before a
person should look."""


def choose_canary(plan: Plan, count: int) -> frozenset[str]:
    """MessageIds of so many dead letters that would be sent, with at least one of each group."""
    ranks = zip_longest(*(group.sample for _, group in plan.largest()))
    in_turn = [one for rank in ranks for one in rank if one is not None]
    groups = sum(bool(group.sample) for group in plan.groups.values())
    return frozenset(in_turn[: max(count, groups)])


async def await_canary(
    ledger: LedgerReader,
    events: Sequence[Event],
    *,
    since: float,
    deadline: float,
    clock: Callable[[], float] = time.time,
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
) -> str | None:
    """Wait until the ledger has each event as delivered. Returns None, or why that did not happen.

    `since` is when the canary was sent, in epoch seconds: an older dead letter says nothing about
    it. `deadline` is in seconds from now.
    """
    end = clock() + deadline
    while True:
        states = await ledger.look_up(events)
        dead = [e for e, s in zip(events, states, strict=True) if _dead_lettered(s, since)]
        if dead:
            return f"{len(dead)} of the canary's events were dead-lettered again: {_some(dead)}"
        waiting = [e for e, s in zip(events, states, strict=True) if not _delivered(s)]
        if not waiting:
            return None
        if clock() >= end:
            late = f"have no outcome after {deadline:g} s"
            return f"{len(waiting)} of the canary's events {late}: {_some(waiting)}"
        await sleep(POLL)


def _some(events: Sequence[Event]) -> str:
    return events[0].id if len(events) == 1 else f"{events[0].id} and others"


def _delivered(state: LedgerState | None) -> bool:
    return state is not None and state.delivered_at is not None


def _dead_lettered(state: LedgerState | None, since: float) -> bool:
    at = state.dead_lettered_at if state is not None else None
    return at is not None and at >= since and not _delivered(state)


class GrowthGuard:
    """Compares the queue's size with what it would be if nothing had arrived during the run.

    Args:
        start: how many messages it had when the run began.
        max_growth: how many new messages are always allowed.
        lag: seconds after which the counters certainly reflect a delete.
        clock: monotonic seconds.
    """

    def __init__(
        self,
        start: int,
        *,
        max_growth: float = MAX_GROWTH,
        lag: float = LAG,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._start = start
        self._max_growth = max_growth
        self._lag = lag
        self._clock = clock
        self._deleted: deque[tuple[float, int]] = deque()
        self._counted = 0

    def problem(self, held: int, deleted: int, done: int, arrived: int) -> str | None:
        """Why the run should end, or None.

        Args:
            held: how many messages the queue has, by its counters.
            deleted: how many this run has deleted.
            done: how many it has sent.
            arrived: dead letters received that arrived after the run began.
        """
        now = self._clock()
        self._deleted.append((now, deleted))
        while self._deleted and self._deleted[0][0] <= now - self._lag:
            self._counted = self._deleted.popleft()[1]
        grown = max(arrived, held + self._counted - self._start)
        if grown <= max(self._max_growth, MAX_GROWTH_SHARE * done):
            return None
        return (
            f"the dead-letter queue has grown by {grown} messages while {done} were redriven: the"
            " cause still exists, fix it first"
        )


class RateLimit:
    """Delays batches so that their sum keeps to a rate; None means no limit.

    Once `stop` is set nothing waits: what will not be sent need not be delayed.
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

    async def wait(self, count: int) -> None:
        """Wait until `count` more may be sent."""
        if self._rate is None or self._stop.is_set():
            return
        now = self._clock()
        start = max(now, self._next)
        self._next = start + count / self._rate
        if start > now:
            await unless_stopped(self._stop, self._sleep(start - now))
