"""The results as tables, for the terminal and for docs/performance.md."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from bench.contestant import TELEMETRY_LEVELS
from bench.targets import overhead

MEGABYTE = 1_000_000
OURS = ("relay poll", "relay serve")

Results: TypeAlias = Mapping[str, Any]


@dataclass(frozen=True)
class Table:
    """A table. The first column has names."""

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]


def pull(results: Results) -> list[Table]:
    """Pull mode and its peers."""
    return [
        _contest(results["workloads"][workload], who) for workload, who in results["pull"].items()
    ]


def push(results: Results) -> list[Table]:
    """Push mode and a web worker."""
    return [
        _contest(results["workloads"][workload], who) for workload, who in results["push"].items()
    ]


def telemetry(results: Results) -> list[Table]:
    """What metrics and log lines add."""
    return [
        Table(
            f"{name}, events of 300 B",
            ("", "CPU µs", "middle half of turns", "added"),
            [
                (
                    TELEMETRY_LEVELS[level],
                    _micro(one["cpu"]),
                    _middle(one["turns"]),
                    f"{overhead(found, level):+.1%}",
                )
                for level, one in found.items()
            ],
        )
        for name, found in results["telemetry"].items()
    ]


def growth(results: Results) -> list[Table]:
    """By messages in flight, and by relays."""
    found = results["growth"]
    if not found:
        return []
    columns = ("in flight", "CPU µs", "SQS requests", "POSTs", "messages/s")
    in_flight = [
        (
            f"{one['in_flight']:,}",
            _micro(one["cpu"]),
            f"{one['requests']:.3f}",
            f"{one['posts']:.4f}",
            f"{one['rate']:,.0f}",
        )
        for one in found["in_flight"]
    ]
    relays = [
        (str(one["relays"]), _micro(one["cpu"]), f"{one['rate']:,.0f}") for one in found["relays"]
    ]
    return [
        Table("most messages in flight", columns, in_flight),
        Table("relays on one queue", ("relays", "CPU µs", "messages/s"), relays),
    ]


def resources(results: Results) -> list[Table]:
    """Idle latency, start and memory."""
    idle, start, memory = results["idle"], results["start"], results["memory"]
    rows = [
        ("added latency when idle, median", *(f"{idle[one][0] * 1e3:.2f} ms" for one in OURS)),
        (
            "added latency when idle, 99th percentile",
            *(f"{idle[one][1] * 1e3:.2f} ms" for one in OURS),
        ),
        ("CPU from the start to the first delivery", *(f"{start[one]:.2f} s" for one in OURS)),
        ("peak with 1,000 messages of 10 KB in flight", _mega(memory["full"]), ""),
        (f"in use after {memory['messages'] // 10:,} messages", _mega(memory["after"][0]), ""),
        (f"in use after {memory['messages']:,} messages", _mega(memory["after"][-1]), ""),
    ]
    return [Table("", ("", *OURS), rows)]


def cost(results: Results) -> list[Table]:
    """Dollars per million messages."""
    rows = [(one["option"], f"{one['dollars']:.2f}", one["arithmetic"]) for one in results["cost"]]
    return [Table("", ("a million messages", "$", "arithmetic"), rows)]


def targets(results: Results) -> list[Table]:
    """The targets, and whether they are met."""
    rows = [
        (
            one["name"],
            f"{one['found']:.3g}{one['unit']}",
            f"{one['limit']:g}{one['unit']}",
            "yes" if one["met"] else "**no**",
        )
        for one in results["targets"]
    ]
    return [Table("", ("target", "found", "at most", "met"), rows)]


def peers(results: Results) -> list[Table]:
    """The contestants."""
    return [Table("", ("contestant", "description"), list(results["peers"].items()))]


def machine(results: Results) -> list[Table]:
    """The machine and the date."""
    rows = [(name, str(results[name])) for name in ("date", "machine", "rounds")]
    return [Table("", ("", ""), rows)]


def gateway(results: Results) -> list[Table]:
    """The gateway's intake and Inngest's, and the latency that the gateway adds."""
    found = results.get("gateway")
    if not found:
        return []
    theirs = found["inngest"].get("batches", {})
    rows = [
        (
            batch,
            _micro(one["cpu"]),
            f"{1e6 / one['cpu']:,.0f}",
            f"{one['rate']:,.0f}",
            f"{theirs[batch]['rate']:,.0f}" if theirs else "not measured",
        )
        for batch, one in found["batches"].items()
    ]
    columns = ("events a request", "CPU µs an event", "events/s of a core", "events/s", "Inngest's")
    latency = found["latency"]
    return [
        Table(found["about"], columns, rows),
        Table(
            "one event at a time",
            ("", "median", "p99"),
            [
                ("SQS's own answer", _milli(latency["sqs"]), ""),
                ("added by the gateway", _milli(latency["added"]), _milli(latency["p99"])),
            ],
        ),
    ]


SECTIONS: Mapping[str, Callable[[Results], list[Table]]] = {
    "machine": machine,
    "peers": peers,
    "targets": targets,
    "pull": pull,
    "push": push,
    "telemetry": telemetry,
    "growth": growth,
    "gateway": gateway,
    "resources": resources,
    "cost": cost,
}


def _contests(results: Results, mode: str) -> list[Table]:
    return [
        _contest(results["workloads"][workload], contestants)
        for workload, contestants in results[mode].items()
    ]


def _contest(title: str, contestants: Mapping[str, Any]) -> Table:
    columns = (
        *("", "CPU µs", "rounds", "SQS requests", "POSTs", "messages/s"),
        *("in flight, p50", "p99", "peak MB"),
    )
    rows = [
        (
            name,
            _micro(one["cpu"]),
            _spread(one),
            f"{one['requests']:.3f}",
            f"{one['posts']:.4f}",
            f"{one['rate']:,.0f}",
            f"{one['in_flight_seconds'][0] * 1e3:.0f} ms",
            f"{one['in_flight_seconds'][1] * 1e3:.0f} ms",
            f"{one['peak'] / MEGABYTE:.0f}",
        )
        for name, one in contestants.items()
    ]
    return Table(title, columns, rows)


def _spread(one: Mapping[str, Any]) -> str:
    """The range of all rounds."""
    return f"{min(one['rounds']):,.0f} to {max(one['rounds']):,.0f}"


def _middle(turns: Sequence[float]) -> str:
    """The range of the middle half."""
    low, _, high = statistics.quantiles(turns, n=4)
    return f"{low:,.0f} to {high:,.0f}"


def _milli(seconds: float) -> str:
    return f"{seconds * 1e3:.2f} ms"


def _micro(value: float) -> str:
    return f"{value:,.0f}"


def _mega(value: float) -> str:
    return f"{value / MEGABYTE:.0f} MB"
