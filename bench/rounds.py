"""Rounds: each contestant runs each workload once per round, so that noise affects all alike."""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Sequence
from typing import Any

from bench.harness import Harness
from bench.plan import Plan
from bench.run import Measurement, run


async def contests(
    harness: Harness, plan: Plan, rounds: int, shrink: int = 1
) -> dict[str, dict[str, Any]]:
    """The medians over all rounds, by workload and contestant."""
    found: dict[tuple[str, str], list[Measurement]] = {}
    start = time.monotonic()
    for number in range(rounds):
        for workload, contestants in plan:
            for one in contestants:
                took = time.monotonic() - start
                say(f"{took:4.0f} s, round {number + 1}: {workload.name}, {one.name}")
                measured = await run(harness, one, workload, shrink=shrink)
                found.setdefault((workload.name, one.name), []).append(measured)
    results: dict[str, dict[str, Any]] = {}
    for (workload_name, name), all_ in found.items():
        results.setdefault(workload_name, {})[name] = _summary(all_)
    return results


def say(text: str) -> None:
    """Report progress on stderr."""
    print(text, file=sys.stderr, flush=True)


def _summary(measurements: Sequence[Measurement]) -> dict[str, Any]:
    def middle(name: str) -> float:
        return float(statistics.median(getattr(one, name) for one in measurements))

    return {
        **{name: middle(name) for name in ("cpu", "requests", "posts", "rate", "server", "peak")},
        "in_flight_seconds": [
            statistics.median(one.in_flight_seconds[at] for one in measurements) for at in (0, 1)
        ],
        "rounds": [one.cpu for one in measurements],
    }
