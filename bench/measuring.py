"""A full benchmark: every contest and every other measurement, by name."""

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

from bench import contestant, cost, growth, plan, resources
from bench.contestant import BUILD, Contestant
from bench.gateway import INNGEST, gateway
from bench.harness import Harness
from bench.plan import Plan
from bench.rounds import contests, say
from bench.server_process import ServerProcess, cpus
from bench.turns import turns

LOG = BUILD / "contestants.log"
"""The output of the contestants of the last session."""

GROWTH_IN_FLIGHT = 5_000
GROWTH_RELAYS = 10_000
"""Messages per session."""


@dataclass(frozen=True, kw_only=True)
class Extent:
    """How much is measured.

    Attributes:
        rounds: rounds of the contests.
        telemetry: rounds of turns; more of them, as the differences are small.
        shrink: divides the messages of the contests.
        idle: latencies per mode.
        messages: messages for memory.
        growth: whether growth is measured.
    """

    rounds: int
    telemetry: int
    shrink: int
    idle: int
    messages: int
    growth: bool

    def of(self, rounds: int) -> Self:
        """The same with this number of rounds."""
        return replace(self, rounds=rounds)


async def measured(extent: Extent, peers: Sequence[Contestant]) -> dict[str, Any]:
    """All results except the targets; `peers` are the contestants on Node."""
    servers, under_test = cpus()
    async with (
        ServerProcess("bench.queue_server", cpu=servers) as sqs,
        ServerProcess("bench.sink", cpu=servers) as sink,
    ):
        results = await _on(Harness(sqs, sink, under_test, LOG), extent, peers)
    results["cost"] = cost.costs(
        results["pull"]["saturation"]["relay poll"], results["push"]["small"]["relay serve"]
    )
    return results


async def _on(harness: Harness, extent: Extent, peers: Sequence[Contestant]) -> dict[str, Any]:
    pull, push = plan.pull(peers, quick=extent.shrink > 1), plan.push(quick=extent.shrink > 1)
    telemetry = plan.telemetry() if extent.telemetry else ()
    everything = (pull, push, telemetry)
    return {
        "date": datetime.now(UTC).date().isoformat(),
        "machine": _machine(),
        "rounds": extent.rounds,
        "workloads": plan.workloads(*everything),
        "peers": plan.contestants(*everything),
        "pull": await contests(harness, pull, extent.rounds, extent.shrink),
        "push": await contests(harness, push, extent.rounds, extent.shrink),
        "telemetry": await _telemetry(harness, telemetry, extent.telemetry),
        "idle": await _idle(harness, extent.idle),
        "memory": await _memory(harness, extent.messages),
        "start": await _start(harness, extent.rounds),
        "growth": await _growth(harness) if extent.growth else {},
        "gateway": await _gateway(harness, extent.rounds),
    }


async def _telemetry(harness: Harness, plan: Plan, count: int) -> dict[str, Any]:
    """The results of each mode by telemetry level."""
    found: dict[str, Any] = {}
    for workload, contestants in plan:
        for one in contestants:
            say(f"{count} rounds of turns: {one.name} at each telemetry level")
            found[one.name] = await turns(harness, workload, one, count)
    return found


def _machine() -> str:
    return (
        f"{_model()}, {os.cpu_count()} CPUs, {platform.system()}, "
        f"Python {platform.python_version()}"
    )


def _model() -> str:
    """The CPU's model name if the system reports it, else its architecture."""
    info = Path("/proc/cpuinfo")
    found = re.search(r"model name\s*: (.+)", info.read_text()) if info.exists() else None
    return f"{found[1]} ({platform.machine()})" if found else platform.machine()


async def _idle(harness: Harness, count: int) -> dict[str, tuple[float, float]]:
    """Median and p99 of each mode, in seconds."""
    found = {}
    for one in (contestant.relay_poll(), contestant.relay_serve()):
        say(f"idle latency, {one.name}")
        latencies = await resources.idle_latencies(harness, one, count)
        cuts = statistics.quantiles(latencies, n=100)
        found[one.name] = (statistics.median(latencies), cuts[98])
    return found


async def _memory(harness: Harness, messages: int) -> dict[str, Any]:
    say(f"memory over {messages:,} messages")
    return asdict(await resources.memory(harness, messages))


async def _start(harness: Harness, rounds: int) -> dict[str, float]:
    """Seconds of CPU of a start, the median of the rounds."""
    say("start")
    return {
        one.name: statistics.median(
            [await resources.start_cpu(harness, one) for _ in range(rounds)]
        )
        for one in (contestant.relay_poll(), contestant.relay_serve())
    }


async def _gateway(harness: Harness, rounds: int) -> dict[str, Any]:
    say("gateway")
    return await gateway(harness, rounds, os.environ.get(INNGEST))


async def _growth(harness: Harness) -> dict[str, Any]:
    say("growth")
    return {
        "in_flight": await growth.by_in_flight(harness, plan.SATURATION, GROWTH_IN_FLIGHT),
        "relays": await growth.by_relays(harness, plan.SATURATION, GROWTH_RELAYS),
    }
