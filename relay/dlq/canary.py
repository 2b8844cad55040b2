"""Canaries: a few letters that go first, and the rest only if every one of them was delivered."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from itertools import zip_longest

from relay.dlq.fate import Known, Memory
from relay.dlq.plan import Plan
from relay.message import Event

POLL = 2.0
"""Seconds between two questions to the ledger."""


def choose(plan: Plan, count: int) -> frozenset[str]:
    """MessageIds of so many letters that would go, and at least one of each group."""
    ranks = zip_longest(*(part.first for _, part in plan.largest()))
    in_turn = [one for rank in ranks for one in rank if one is not None]
    groups = sum(bool(part.first) for part in plan.parts.values())
    return frozenset(in_turn[: max(count, groups)])


async def awaited(
    memory: Memory,
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
        known = await memory.recall(events)
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


def _delivered(known: Known | None) -> bool:
    return known is not None and known.delivered_at is not None


def _dead(known: Known | None, since: float) -> bool:
    at = known.dead_lettered_at if known is not None else None
    return at is not None and at >= since and not _delivered(known)
