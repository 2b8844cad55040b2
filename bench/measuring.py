"""One run: every contest and every other figure, by name."""

from __future__ import annotations

import os
import platform
import re
import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self

from bench import contestant, cost, growth, idle, memory, plan, start
from bench.contestant import BUILD, Contestant
from bench.harness import Ground
from bench.plan import Plan
from bench.rounds import contests, say
from bench.server_process import Servant, cpus
from bench.turns import turns

LOG = BUILD / "contestants.log"
"""What the contestants of the last course printed."""

GROWTH_IN_HAND = 5_000
GROWTH_RELAYS = 10_000
"""Messages of a course."""


@dataclass(frozen=True, kw_only=True)
class Extent:
    """How much is measured.

    `rounds` of everybody, `telemetry` rounds of its contestants, whose differences are small,
    contests `shrink` times shorter, `idle` latencies, so many `messages` for memory.
    """

    rounds: int
    telemetry: int
    shrink: int
    idle: int
    messages: int
    growth: bool

    def of(self, rounds: int) -> Self:
        """The same with other rounds."""
        return replace(self, rounds=rounds)


async def measured(extent: Extent, peers: Sequence[Contestant]) -> dict[str, Any]:
    """Everything but the targets; `peers` are those on Node."""
    servers, under_test = cpus()
    async with (
        Servant("bench.queue_server", cpu=servers) as sqs,
        Servant("bench.sink", cpu=servers) as sink,
    ):
        results = await _on(Ground(sqs, sink, under_test, LOG), extent, peers)
    results["cost"] = cost.costs(
        results["pull"]["saturation"]["relay poll"], results["push"]["small"]["relay serve"]
    )
    return results


async def _on(ground: Ground, extent: Extent, peers: Sequence[Contestant]) -> dict[str, Any]:
    pull, push = plan.pull(peers, quick=extent.shrink > 1), plan.push(quick=extent.shrink > 1)
    telemetry = plan.telemetry() if extent.telemetry else ()
    everything = (pull, push, telemetry)
    return {
        "date": datetime.now(UTC).date().isoformat(),
        "machine": _machine(),
        "rounds": extent.rounds,
        "workloads": plan.works(*everything),
        "peers": plan.contestants(*everything),
        "pull": await contests(ground, pull, extent.rounds, extent.shrink),
        "push": await contests(ground, push, extent.rounds, extent.shrink),
        "telemetry": await _telemetry(ground, telemetry, extent.telemetry),
        "idle": await _idle(ground, extent.idle),
        "memory": await _memory(ground, extent.messages),
        "start": await _start(ground, extent.rounds),
        "growth": await _growth(ground) if extent.growth else {},
    }


async def _telemetry(ground: Ground, plan: Plan, count: int) -> dict[str, Any]:
    """Each mode's figures by what those who observe it listen to."""
    found: dict[str, Any] = {}
    for work, contestants in plan:
        for one in contestants:
            say(f"{count} rounds of turns: {one.name} with more and less telemetry")
            found[one.name] = await turns(ground, work, one, count)
    return found


def _machine() -> str:
    return (
        f"{_model()}, {os.cpu_count()} CPUs, {platform.system()}, "
        f"Python {platform.python_version()}"
    )


def _model() -> str:
    """The CPU's own name where the system tells it, else its kind."""
    told = Path("/proc/cpuinfo")
    found = re.search(r"model name\s*: (.+)", told.read_text()) if told.exists() else None
    return f"{found[1]} ({platform.machine()})" if found else platform.machine()


async def _idle(ground: Ground, count: int) -> dict[str, tuple[float, float]]:
    """Median and p99 of each of our modes, seconds."""
    found = {}
    for one in (contestant.relay_poll(), contestant.relay_serve()):
        say(f"idle latency, {one.name}")
        taken = await idle.latencies(ground, one, count)
        cuts = statistics.quantiles(taken, n=100)
        found[one.name] = (statistics.median(taken), cuts[98])
    return found


async def _memory(ground: Ground, messages: int) -> dict[str, Any]:
    say(f"memory over {messages:,} messages")
    return asdict(await memory.memory(ground, messages))


async def _start(ground: Ground, rounds: int) -> dict[str, float]:
    """Seconds of CPU, the median of the rounds."""
    say("start")
    both = (contestant.relay_poll(), contestant.relay_serve())
    return {
        one.name: statistics.median([await start.start_cpu(ground, one) for _ in range(rounds)])
        for one in both
    }


async def _growth(ground: Ground) -> dict[str, Any]:
    say("growth")
    return {
        "in_flight": await growth.in_flight(ground, plan.SATURATION, GROWTH_IN_HAND),
        "relays": await growth.relays(ground, plan.SATURATION, GROWTH_RELAYS),
    }
