"""Turns: one process that is told to listen to more and less, and does a little work each time.

What a machine does beside it changes within seconds, by more than listening costs: a turn takes
less than one, so that each hearing has its share of that. Processes of the same program differ too,
by a few percent, for they lie differently in memory: each round has a new one.
"""

from __future__ import annotations

import asyncio
import signal
import statistics
from collections.abc import Mapping
from typing import Any

from bench.accounting import cpu_seconds
from bench.contestant import HEARING, HEARING_FILE, Contestant, Running
from bench.failure import Failed
from bench.harness import WITHIN, Ground, check
from bench.run import WARM_UP, Work, consume

MESSAGES = 1_000
"""Of a turn."""

TURNS = 16
"""Of a round, with each hearing."""

QUIET = 0.1
"""Seconds after a turn: the last deletes and the log's last lines, which gather for half as long,
are done with then."""


async def turns(
    ground: Ground, work: Work, contestant: Contestant, rounds: int
) -> dict[str, dict[str, Any]]:
    """By hearing: the CPU in µs a message of each turn, and their mean.

    Raises:
        Failed: the contestant ends, refuses or takes too long.
    """
    found: dict[str, list[float]] = {hearing: [] for hearing in HEARING}
    await ground.sink.ask("wait", seconds=work.latency)
    for _ in range(rounds):
        await _round(ground, work, contestant, found)
    return {
        one: {"cpu": statistics.geometric_mean(all_), "turns": all_} for one, all_ in found.items()
    }


async def _round(
    ground: Ground, work: Work, contestant: Contestant, found: Mapping[str, list[float]]
) -> None:
    order = tuple(HEARING)
    async with ground.course(contestant) as (queue, url, running):
        await consume(ground, contestant, running, queue, url, work, WARM_UP)
        for _ in range(TURNS):
            for hearing in order:
                await _listen(running, hearing)
                before = cpu_seconds(running.process.pid)
                await consume(ground, contestant, running, queue, url, work, MESSAGES)
                found[hearing].append(await _spent(running, before))
            order = order[::-1]


async def _listen(running: Running, hearing: str) -> None:
    """Have it listen to this from now on."""
    HEARING_FILE.write_text(hearing)
    running.process.send_signal(signal.SIGUSR1)
    try:
        async with asyncio.timeout(WITHIN):
            while HEARING_FILE.exists():
                check(running)
                await asyncio.sleep(0.005)
    except TimeoutError as error:
        raise Failed(f"{running.name} does not take up what it is to listen to") from error


async def _spent(running: Running, before: float) -> float:
    await asyncio.sleep(QUIET)
    return (cpu_seconds(running.process.pid) - before) / MESSAGES * 1e6
