"""Rounds: each contestant runs each workload once per round, so that noise affects all alike."""

from __future__ import annotations

import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from bench.harness import Harness
from bench.plan import Contest, Plan, Section
from bench.progress import say
from bench.run import Measurement, run

_MIDDLE = ("cpu", "requests", "posts", "rate", "server", "peak", "connections", "resumed")

Found: TypeAlias = dict[tuple[Section, str, str], list[Measurement]]


@dataclass(frozen=True, kw_only=True)
class Effort:
    """How much is run.

    Attributes:
        rounds: the most rounds.
        shrink: divides the number of messages.
        seconds: no further round begins if it would probably end later than this.
    """

    rounds: int
    shrink: int = 1
    seconds: float = float("inf")


async def contests(
    harness: Harness, secure: Harness, plan: Plan, effort: Effort
) -> tuple[dict[str, dict[str, dict[str, Any]]], int]:
    """The medians over all rounds, by section, workload and contestant; the number of rounds.

    Args:
        harness: the servers of all sections but `tls`.
        secure: servers that speak https, for the section `tls`.
        plan: what is run.
        effort: how much is run. There is one round at least.
    """
    found: Found = {}
    start, done = time.monotonic(), 0
    while done < effort.rounds:
        took = time.monotonic() - start
        if done and took + took / done > effort.seconds:
            say(f"round {done + 1} of {effort.rounds} would take too long, and is left out")
            break
        await _round(harness, secure, plan, effort, f"round {done + 1}", found)
        done += 1
    results: dict[str, dict[str, dict[str, Any]]] = {}
    for (section, workload, name), all_ in found.items():
        results.setdefault(section, {}).setdefault(workload, {})[name] = _summary(all_)
    return results, done


async def _round(
    harness: Harness, secure: Harness, plan: Plan, effort: Effort, title: str, found: Found
) -> None:
    count, total = 0, sum(len(one.contestants) for one in plan)
    for contest in plan:
        for one in contest.contestants:
            count += 1
            say(f"{title}, {count} of {total}: {_titled(contest)}, {one.name}")
            used = secure if contest.section == "tls" else harness
            measured = await run(used, one, contest.workload, effort.shrink)
            key = (contest.section, contest.workload.name, one.name)
            found.setdefault(key, []).append(measured)


def _titled(contest: Contest) -> str:
    return f"{contest.section}, {contest.workload.about}"


def _summary(measurements: Sequence[Measurement]) -> dict[str, Any]:
    def middle(name: str) -> float:
        return float(statistics.median(getattr(one, name) for one in measurements))

    return {
        **{name: middle(name) for name in _MIDDLE},
        "in_flight_seconds": [
            statistics.median(one.in_flight_seconds[at] for one in measurements) for at in (0, 1)
        ],
        "rounds": [one.cpu for one in measurements],
    }
