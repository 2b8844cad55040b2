"""Turns: one process alternates between telemetry levels, with a few messages at each.

The load of a shared machine changes within seconds, by more than telemetry costs. A turn takes less
than a second, so that every level gets its share of that. Processes of the same program also differ
by a few percent, because of their memory layout: each round starts a new one.
"""

from __future__ import annotations

import asyncio
import signal
import statistics
from collections.abc import Mapping
from typing import Any

from bench.accounting import cpu_seconds
from bench.contestant import TELEMETRY_LEVEL_FILE, TELEMETRY_LEVELS, Contestant, Running
from bench.harness import WITHIN, Harness, check
from bench.run import WARM_UP, Workload, consume
from bench.server_process import BenchmarkFailed

MESSAGES = 1_000
"""Per turn."""

TURNS = 16
"""Per round and level."""

QUIET = 0.1
"""Seconds after a turn: by then the last deletes and log lines, which are batched for half of that,
are done."""


async def turns(
    harness: Harness, workload: Workload, contestant: Contestant, rounds: int
) -> dict[str, dict[str, Any]]:
    """By level: the CPU of each turn in µs per message, and their geometric mean.

    Raises:
        BenchmarkFailed: the contestant ends, refuses a message or takes too long.
    """
    found: dict[str, list[float]] = {level: [] for level in TELEMETRY_LEVELS}
    await harness.sink.call("set_latency", seconds=workload.latency)
    for _ in range(rounds):
        await _round(harness, workload, contestant, found)
    return {
        level: {"cpu": statistics.geometric_mean(values), "turns": values}
        for level, values in found.items()
    }


async def _round(
    harness: Harness, workload: Workload, contestant: Contestant, found: Mapping[str, list[float]]
) -> None:
    levels = tuple(TELEMETRY_LEVELS)
    async with harness.session(contestant) as (queue, url, running):
        await consume(harness, contestant, running, queue, url, workload, WARM_UP)
        for _ in range(TURNS):
            for level in levels:
                await _set_level(running, level)
                before = cpu_seconds(running.process.pid)
                await consume(harness, contestant, running, queue, url, workload, MESSAGES)
                found[level].append(await _spent(running, before))
            levels = levels[::-1]


async def _set_level(running: Running, level: str) -> None:
    """Change the telemetry level; returns once it is in effect."""
    TELEMETRY_LEVEL_FILE.write_text(level)
    running.process.send_signal(signal.SIGUSR1)
    try:
        async with asyncio.timeout(WITHIN):
            while TELEMETRY_LEVEL_FILE.exists():
                check(running)
                await asyncio.sleep(0.005)
    except TimeoutError as error:
        raise BenchmarkFailed(f"{running.name} does not change its telemetry level") from error


async def _spent(running: Running, before: float) -> float:
    await asyncio.sleep(QUIET)
    return (cpu_seconds(running.process.pid) - before) / MESSAGES * 1e6
