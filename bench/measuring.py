"""A full benchmark: every contest and every other measurement, by name."""

from __future__ import annotations

import compileall
import os
import platform
import re
import statistics
from collections.abc import Awaitable, Callable, Collection
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self

import relay
from bench import contestant, cost, growth, plan
from bench.contestant import BUILD
from bench.dead_letters import dead_letters
from bench.gateway import INNGEST, gateway
from bench.harness import Harness, harness
from bench.idle import idle_latencies
from bench.memory import memory
from bench.plan import Peers
from bench.progress import elapsed, say
from bench.rounds import Effort, contests
from bench.server_process import BenchmarkFailed, placement
from bench.sqs_requests import sqs_requests
from bench.start import starts
from bench.turns import turns
from relay.local.processes import RelayFailed

LOG = BUILD / "contestants.log"
"""The output of the contestants of the last session."""

SECURE_LOG = BUILD / "contestants-tls.log"
CERTIFICATES = BUILD / "tls"

FEW = 2
"""The most rounds of what differs little from one to the next."""

PARTS = (
    *("contests", "start", "idle", "memory", "growth", "gateway", "telemetry"),
    *("dead_letters", "requests"),
)

REQUESTS = 2_000
"""Messages whose SQS requests are counted, by setting."""

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
        seconds: after which no further round of the contests begins.
        limit: seconds since the start, after which no further part begins.
        idle: latencies per mode.
        messages: messages for memory.
        dead_letters: for the tools that work on them.
        parts: what is measured, of `PARTS`.
    """

    rounds: int
    telemetry: int
    shrink: int
    seconds: float
    limit: float
    idle: int
    messages: int
    dead_letters: int
    parts: Collection[str]

    def of(self, rounds: int) -> Self:
        """The same with this number of rounds."""
        return replace(self, rounds=rounds)

    def limited_to(self, parts: Collection[str]) -> Self:
        """The same with these parts only."""
        return replace(self, parts=parts)


async def measured(extent: Extent, peers: Peers) -> dict[str, Any]:
    """All results except the targets."""
    # As pip does when it installs: else each start would compile what it imports.
    compileall.compile_dir(Path(relay.__file__).parent, quiet=1)
    placed = placement()
    async with (
        harness(LOG, placed) as servers,
        harness(SECURE_LOG, placed, CERTIFICATES) as secure,
    ):
        return await _on(servers, secure, extent, peers)


async def _on(servers: Harness, secure: Harness, extent: Extent, peers: Peers) -> dict[str, Any]:
    quick = extent.shrink > 1
    contest = (
        *plan.pull(peers, quick=quick),
        *plan.tls(peers, quick=quick),
        *plan.push(quick=quick),
    )
    found: dict[str, Any] = {
        "date": datetime.now(UTC).date().isoformat(),
        "machine": _machine(),
        "workloads": plan.workloads(contest),
        "peers": plan.contestants(contest),
    }
    if "contests" in extent.parts:
        effort = Effort(rounds=extent.rounds, shrink=extent.shrink, seconds=extent.seconds)
        medians, found["rounds"] = await contests(servers, secure, contest, effort)
        found |= medians
    few = min(extent.rounds, FEW)
    rest: dict[str, Callable[[], Awaitable[Any]]] = {
        "start": lambda: _start(servers, few),
        "idle": lambda: _idle(servers, extent.idle),
        "memory": lambda: _memory(servers, extent.messages),
        "growth": lambda: _growth(servers, few),
        "gateway": lambda: _gateway(servers, few),
        "telemetry": lambda: _telemetry(servers, extent.telemetry),
        "dead_letters": lambda: dead_letters(servers, extent.dead_letters),
        "requests": lambda: sqs_requests(REQUESTS // extent.shrink, quick=quick),
    }
    failed: dict[str, str] = {}  # what the other parts have found must not be lost
    for name, measure in rest.items():
        if name in extent.parts and elapsed() > extent.limit:
            failed[name] = f"left out, as {extent.limit / 60:.0f} minutes were over"
        elif name in extent.parts:
            try:
                found[name] = await measure()
            except (BenchmarkFailed, RelayFailed) as error:
                say(f"{name} failed: {error}")
                failed[name] = str(error)
    if "pull" in found and "push" in found:
        busy, pushed = found["pull"]["saturation"], found["push"]["small"]
        found["cost"] = cost.costs(busy["relay poll"], pushed["relay serve"])
    return found | {"load": os.getloadavg()[2], "failed": failed}


async def _telemetry(harness: Harness, count: int) -> dict[str, Any]:
    """The results of each mode by telemetry level."""
    found: dict[str, Any] = {}
    for one in plan.telemetry():
        say(f"{count} rounds of turns: {one.name} at each telemetry level")
        found[one.name] = await turns(harness, plan.SMALL, one, count)
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
        latencies = await idle_latencies(harness, one, count)
        cuts = statistics.quantiles(latencies, n=100)
        found[one.name] = (statistics.median(latencies), cuts[98])
    return found


async def _memory(harness: Harness, messages: int) -> dict[str, Any]:
    say(f"memory, when idle, when full and over {messages:,} messages")
    return asdict(await memory(harness, messages))


async def _start(harness: Harness, rounds: int) -> dict[str, float]:
    say("start")
    return await starts(harness, rounds)


async def _gateway(harness: Harness, rounds: int) -> dict[str, Any]:
    say("gateway")
    return await gateway(harness, rounds, os.environ.get(INNGEST))


async def _growth(harness: Harness, rounds: int) -> dict[str, Any]:
    say("growth, by messages in flight, relays and processes")
    workload = plan.SATURATION
    return {
        "in_flight": await growth.by_in_flight(harness, workload, GROWTH_IN_FLIGHT),
        "relays": await growth.by_relays(harness, workload, GROWTH_RELAYS),
        "processes": await growth.by_processes(harness, workload, GROWTH_RELAYS, rounds),
    }
