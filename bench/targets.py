"""The targets, and whether one run meets them. Ratios come from that one run."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

MEGABYTE = 1_000_000


@dataclass(frozen=True)
class Target:
    """What was found and the most that it may be."""

    name: str
    found: float
    limit: float
    unit: str = ""

    @property
    def met(self) -> bool:
        """Whether it is no more than that."""
        return self.found <= self.limit


def targets(results: Mapping[str, Any]) -> list[Target]:
    """Every target for which the run has the figures."""
    return [
        *_pull(results["pull"]),
        *_saturation(results["pull"]),
        *_push(results["push"]),
        *_telemetry(results["telemetry"]),
        *_rest(results),
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
    yield Target("saturation: SQS requests a message", figures["requests"], 0.21)
    yield Target("saturation: POSTs a message", figures["posts"], 0.02)


def _push(push: Mapping[str, Any]) -> Iterator[Target]:
    small = push["small"]
    ratio = small["relay serve"]["cpu"] / small["web worker"]["cpu"]
    yield Target("push: CPU against a web worker", ratio, 0.3, "x")


def _telemetry(telemetry: Mapping[str, Any]) -> Iterator[Target]:
    names = {"relay poll": "pull", "relay serve": "push"}
    meant = {"problems": "metrics", "all": "metrics and a log line a message"}
    for name, found in telemetry.items():
        for hearing, what in meant.items():
            added = overhead(found, hearing) * 100
            yield Target(f"telemetry: CPU added by {what}, {names[name]}", added, 5, " %")


def overhead(found: Mapping[str, Any], hearing: str) -> float:
    """The share of CPU that hearing so much adds to hearing nothing.

    It compares the geometric means of the turns: what disturbs some of them multiplies their CPU.
    """
    mean = statistics.geometric_mean
    return mean(found[hearing]["turns"]) / mean(found["nothing"]["turns"]) - 1


def _rest(results: Mapping[str, Any]) -> Iterator[Target]:
    for name, (median, _) in results["idle"].items():
        yield Target(f"idle: added latency, median, {name}", median * 1e3, 2.0, " ms")
    memory = results["memory"]
    yield Target("memory: 1,000 messages of 10 KB in hand", memory["full"] / MEGABYTE, 120, " MB")
    # The first tenth fills caches and pools; after it nothing may be added.
    grown = (memory["after"][-1] - memory["after"][0]) / MEGABYTE
    yield Target(f"memory: growth over {memory['messages']:,} messages", grown, 3, " MB")
    for name, seconds in results["start"].items():
        yield Target(f"start: CPU to the first delivery, {name}", seconds, 1.5, " s")
