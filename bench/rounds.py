"""Rounds: everybody does the work once, then everybody again, so that noise is fair."""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Sequence
from typing import Any

from bench.harness import Ground
from bench.plan import Plan
from bench.run import Figures, run


async def contests(
    ground: Ground, plan: Plan, rounds: int, shrink: int = 1
) -> dict[str, dict[str, Any]]:
    """Everybody's figures by work: medians over the rounds, which go round all contestants."""
    found: dict[tuple[str, str], list[Figures]] = {}
    start = time.monotonic()
    for number in range(rounds):
        for work, contestants in plan:
            for one in contestants:
                took = time.monotonic() - start
                say(f"{took:4.0f} s, round {number + 1}: {work.name}, {one.name}")
                figures = await run(ground, one, work, shrink=shrink)
                found.setdefault((work.name, one.name), []).append(figures)
    results: dict[str, dict[str, Any]] = {}
    for (work_name, name), all_ in found.items():
        results.setdefault(work_name, {})[name] = _summary(all_)
    return results


def say(text: str) -> None:
    """Tell how far it is."""
    print(text, file=sys.stderr, flush=True)


def _summary(figures: Sequence[Figures]) -> dict[str, Any]:
    def middle(name: str) -> float:
        return float(statistics.median(getattr(one, name) for one in figures))

    return {
        **{name: middle(name) for name in ("cpu", "requests", "posts", "rate", "server", "peak")},
        "held": [statistics.median(one.held[at] for one in figures) for at in (0, 1)],
        "rounds": [one.cpu for one in figures],
    }
