"""The targets, and whether a run meets them. All ratios are within one run."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from bench.reasons import reason_of

MEGABYTE = 1_000_000

BENTO = "Bento, "
"""What the names of Bento's setups begin with."""

OF_BENTO = 0.8
"""The most of what the better of Bento's setups takes."""

CONNECTIONS = 16
"""TLS connections of a busy relay: four receives, their deletes, and two POSTs at a time need eight
to ten; a relay that opened one for each batch would need hundreds."""


@dataclass(frozen=True)
class Target:
    """A measured value and its limit."""

    name: str
    found: float
    limit: float
    unit: str = ""

    @property
    def met(self) -> bool:
        """Whether the value is within the limit."""
        return self.found <= self.limit

    @property
    def reason(self) -> str:
        """Why it is missed, as far as that is known; nothing if it is met."""
        return "" if self.met else reason_of(self.name)


def targets(results: Mapping[str, Any]) -> list[Target]:
    """Every target for which the run has figures."""
    workloads = results["workloads"]
    pull, tls = results.get("pull", {}), results.get("tls", {})
    return [
        *_pull(pull),
        *_bento("pull", pull, workloads),
        *_tls(tls, pull, workloads),
        *_bento("TLS", tls, workloads),
        *_push(results.get("push", {})),
        *_telemetry(results.get("telemetry", {})),
        *_idle(results.get("idle", {})),
        *_memory(results.get("memory", {})),
        *_start(results.get("start", {})),
        *_processes(results.get("growth", {}).get("processes", {})),
        *_gateway(results.get("gateway", {})),
        *_dead_letters(results.get("dead_letters", {})),
    ]


def _pull(pull: Mapping[str, Any]) -> Iterator[Target]:
    if not pull:
        return
    small = pull["small"]
    ours = small["relay poll"]["cpu"]
    for name, limit in (
        ("floor", 0.4),
        ("sqs-consumer, each", 0.15),
        ("sqs-consumer, batch", 0.35),
    ):
        if name in small:
            yield Target(f"pull: CPU against {name}", ours / small[name]["cpu"], limit, "x")
    if "large" in pull:
        large = pull["large"]["relay poll"]["cpu"] / pull["large"]["floor"]["cpu"]
        yield Target("pull, events of 100 KB: CPU against floor", large, 1.5, "x")
    busy = pull["saturation"]["relay poll"]
    yield Target("saturation: SQS requests per message", busy["requests"], 0.21)
    yield Target("saturation: POSTs per message", busy["posts"], 0.02)


def _bento(
    section: str, contests: Mapping[str, Any], workloads: Mapping[str, str]
) -> Iterator[Target]:
    for workload, contestants in contests.items():
        theirs = [one for name, one in contestants.items() if name.startswith(BENTO)]
        for figure, what in {"cpu": "CPU", "peak": "peak memory"}.items() if theirs else ():
            least = min(one[figure] for one in theirs)
            ratio = contestants["relay poll"][figure] / least
            name = f"{section}, {workloads[workload]}: {what} against Bento"
            yield Target(name, ratio, OF_BENTO, "x")


def _tls(
    tls: Mapping[str, Any], plain: Mapping[str, Any], workloads: Mapping[str, str]
) -> Iterator[Target]:
    for workload, contestants in tls.items():
        ours, title = contestants["relay poll"], f"TLS, {workloads[workload]}"
        ratio = ours["cpu"] / plain[workload]["relay poll"]["cpu"]
        yield Target(f"{title}: CPU against plain", ratio, 1.25, "x")
        yield Target(f"{title}: connections", ours["connections"], CONNECTIONS)


def _push(push: Mapping[str, Any]) -> Iterator[Target]:
    if not push:
        return
    small = push["small"]
    ratio = small["relay serve"]["cpu"] / small["web worker"]["cpu"]
    yield Target("push: CPU against a web worker", ratio, 0.06, "x")


def _telemetry(telemetry: Mapping[str, Any]) -> Iterator[Target]:
    names = {"relay poll": "pull", "relay serve": "push"}
    levels = {"problems": "metrics", "all": "metrics and a log line per message"}
    for name, found in telemetry.items():
        for level, what in levels.items():
            added = overhead(found, level) * 100
            yield Target(f"telemetry: CPU added by {what}, {names[name]}", added, 5, " %")


def overhead(found: Mapping[str, Any], level: str) -> float:
    """The share of CPU that this telemetry level adds to the level `nothing`.

    It compares the geometric means of the turns, as a disturbance multiplies the CPU of a turn.
    """
    mean = statistics.geometric_mean
    return mean(found[level]["turns"]) / mean(found["nothing"]["turns"]) - 1


def _idle(idle: Mapping[str, Any]) -> Iterator[Target]:
    for name, (median, p99) in idle.items():
        yield Target(f"idle: added latency, median, {name}", median * 1e3, 2, " ms")
        yield Target(f"idle: added latency, p99, {name}", p99 * 1e3, 10, " ms")


def _memory(memory: Mapping[str, Any]) -> Iterator[Target]:
    if not memory:
        return
    for name, idle in memory["idle"].items():
        yield Target(f"memory: idle, {name}", idle / MEGABYTE, 60, " MB")
    full, large = memory["full"], memory["large"]
    peak = full["peak"] / MEGABYTE
    yield Target("memory: 1,000 messages of 10 KB in flight", peak, 85, " MB")
    added = (large["peak"] - large["before"]) / large["in_flight"]
    name = "memory: added by messages of 100 KB, against their bytes in flight"
    yield Target(name, added, 1.3, "x")
    # The first tenth fills caches and pools; after that, memory must not grow.
    grown = (memory["after"][-1] - memory["after"][0]) / MEGABYTE
    yield Target(f"memory: growth over {memory['messages']:,} messages", grown, 3, " MB")


def _start(start: Mapping[str, float]) -> Iterator[Target]:
    for name, seconds in start.items():
        if name == "relay --help":
            yield Target(f"start: CPU of {name}", seconds, 0.25, " s")
        else:
            yield Target(f"start: CPU to the first delivery, {name}", seconds, 0.9, " s")


def _processes(found: Mapping[str, Any]) -> Iterator[Target]:
    if not found or "skipped" in found:
        return
    one, two = found["rows"]
    yield Target("processes: CPU of two against one", two["cpu"] / one["cpu"], 1.05, "x")
    if found["cpus"] >= two["processes"]:
        ratio = one["rate"] / two["rate"]
        yield Target("processes: time per message of two against one", ratio, 0.55, "x")


def _gateway(found: Mapping[str, Any]) -> Iterator[Target]:
    if not found:
        return
    cpu = found["batches"]["100"]["cpu"]
    yield Target("gateway: CPU per event in requests of 100", cpu, 60, " µs")
    added = found["latency"]["added"] * 1e3
    yield Target("gateway: latency added to SQS's own, one event, median", added, 1.5, " ms")


def _dead_letters(found: Mapping[str, Any]) -> Iterator[Target]:
    if not found:
        return
    steps = found["steps"]
    for name, beside in found["beside"].items():
        requests = steps[name]["requests"] / steps[beside]["requests"]
        yield Target(f"dead letters: SQS requests of {name} against {beside}", requests, 1.1, "x")
    slowest = max(found["views"].values())
    yield Target("dead letters: slowest view of the console", slowest, 1, " s")
