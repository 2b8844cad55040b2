"""The targets, and whether a run meets them. All ratios are within one run."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

MEGABYTE = 1_000_000


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


def targets(results: Mapping[str, Any]) -> list[Target]:
    """Every target for which the run has figures."""
    return [
        *_pull(results["pull"]),
        *_saturation(results["pull"]),
        *_push(results["push"]),
        *_telemetry(results["telemetry"]),
        *_rest(results),
        *_gateway(results.get("gateway")),
    ]


def _pull(pull: Mapping[str, Any]) -> Iterator[Target]:
    small = pull["small"]
    ours = small["relay poll"]["cpu"]
    for name, limit in (
        ("floor", 0.5),
        ("sqs-consumer, each", 0.15),
        ("sqs-consumer, batch", 0.35),
    ):
        if name in small:
            yield Target(f"pull: CPU against {name}", ours / small[name]["cpu"], limit, "x")


def _saturation(pull: Mapping[str, Any]) -> Iterator[Target]:
    figures = pull["saturation"]["relay poll"]
    yield Target("saturation: SQS requests per message", figures["requests"], 0.21)
    yield Target("saturation: POSTs per message", figures["posts"], 0.02)


def _push(push: Mapping[str, Any]) -> Iterator[Target]:
    small = push["small"]
    ratio = small["relay serve"]["cpu"] / small["web worker"]["cpu"]
    yield Target("push: CPU against a web worker", ratio, 0.3, "x")


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


def _rest(results: Mapping[str, Any]) -> Iterator[Target]:
    for name, (median, _) in results["idle"].items():
        yield Target(f"idle: added latency, median, {name}", median * 1e3, 2.0, " ms")
    memory = results["memory"]
    yield Target("memory: 1,000 messages of 10 KB in flight", memory["full"] / MEGABYTE, 120, " MB")
    # The first tenth fills caches and pools; after that, memory must not grow.
    grown = (memory["after"][-1] - memory["after"][0]) / MEGABYTE
    yield Target(f"memory: growth over {memory['messages']:,} messages", grown, 3, " MB")
    for name, seconds in results["start"].items():
        yield Target(f"start: CPU to the first delivery, {name}", seconds, 1.5, " s")


def _gateway(found: Mapping[str, Any] | None) -> Iterator[Target]:
    if found is None:
        return
    cpu = found["batches"]["100"]["cpu"]
    yield Target("gateway: CPU per event in requests of 100", cpu, 60, " µs")
    added = found["latency"]["added"] * 1e3
    yield Target("gateway: latency added to SQS's own, one event, median", added, 1.5, " ms")
