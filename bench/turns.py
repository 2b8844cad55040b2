"""Turns: contestants that differ by little all run, and do a little work each, one after the other.

What a machine does beside it changes within seconds, by more than they differ: a turn takes less
than one, so that neighbours in time are compared. Two processes of the same program differ too, by
a few percent, for they lie differently in memory: each round starts all of them anew.
"""

from __future__ import annotations

import asyncio
import statistics
from collections.abc import Sequence
from contextlib import AsyncExitStack
from typing import Any

from bench.accounting import cpu_seconds
from bench.contestant import Contestant, Running
from bench.course import WARM_UP, Work, consume
from bench.ground import Ground

MESSAGES = 1_000
"""Of a turn."""

TURNS = 4
"""Of a round."""

QUIET = 0.05
"""Seconds after a turn in which the last deletes and the log's last lines are done with."""


async def turns(
    ground: Ground, work: Work, contestants: Sequence[Contestant], rounds: int
) -> dict[str, dict[str, Any]]:
    """By contestant: the CPU in µs a message in each round, and the median of that.

    Raises:
        Failed: one of them ends, refuses or takes too long.
    """
    found: dict[str, list[float]] = {one.name: [] for one in contestants}
    await ground.sink.ask("wait", seconds=work.latency)
    for _ in range(rounds):
        for name, cpu in (await _round(ground, work, contestants)).items():
            found[name].append(cpu)
    return {name: {"cpu": statistics.median(all_), "rounds": all_} for name, all_ in found.items()}


async def _round(ground: Ground, work: Work, contestants: Sequence[Contestant]) -> dict[str, float]:
    """Each one's mean over its turns."""
    found: dict[str, list[float]] = {one.name: [] for one in contestants}
    async with AsyncExitStack() as stack:
        entered = [
            (one, *await stack.enter_async_context(ground.course(one))) for one in contestants
        ]
        for one, queue, url, running in entered:
            await consume(ground, one, running, queue, url, work, WARM_UP)
        for number in range(TURNS):
            for one, queue, url, running in entered[:: -1 if number % 2 else 1]:
                before = cpu_seconds(running.process.pid)
                await consume(ground, one, running, queue, url, work, MESSAGES)
                found[one.name].append(await _spent(running, before))
    return {name: statistics.fmean(all_) for name, all_ in found.items()}


async def _spent(running: Running, before: float) -> float:
    await asyncio.sleep(QUIET)
    return (cpu_seconds(running.process.pid) - before) / MESSAGES * 1e6
