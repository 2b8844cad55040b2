"""The run's figures as tables: on the terminal, and in docs/performance.md."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from bench.contestant import HEARING
from bench.targets import overhead

MEGABYTE = 1_000_000
OURS = ("relay poll", "relay serve")

Results: TypeAlias = Mapping[str, Any]


@dataclass(frozen=True)
class Table:
    """What it shows, its columns and its rows, the first column being names."""

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]


def pull(results: Results) -> list[Table]:
    """Pull mode beside its peers."""
    return [_contest(results["workloads"][work], who) for work, who in results["pull"].items()]


def push(results: Results) -> list[Table]:
    """Push mode beside a web worker."""
    return [_contest(results["workloads"][work], who) for work, who in results["push"].items()]


def telemetry(results: Results) -> list[Table]:
    """What metrics and log lines add."""
    return [
        Table(
            f"{name}, events of 300 B",
            ("", "CPU µs", "half of the turns", "added"),
            [
                (
                    HEARING[hearing],
                    _micro(one["cpu"]),
                    _middle(one["turns"]),
                    f"{overhead(found, hearing):+.1%}",
                )
                for hearing, one in found.items()
            ],
        )
        for name, found in results["telemetry"].items()
    ]


def growth(results: Results) -> list[Table]:
    """More in hand, and more relays."""
    found = results["growth"]
    if not found:
        return []
    columns = ("in hand", "CPU µs", "SQS requests", "POSTs", "messages/s")
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
        Table("the most in hand", columns, in_flight),
        Table("relays on one queue", ("relays", "CPU µs", "messages/s"), relays),
    ]


def resources(results: Results) -> list[Table]:
    """Idle latency, start and memory."""
    idle, start, memory = results["idle"], results["start"], results["memory"]
    rows = [
        ("added latency when idle, median", *(f"{idle[one][0] * 1e3:.2f} ms" for one in OURS)),
        ("the same, 99 of 100", *(f"{idle[one][1] * 1e3:.2f} ms" for one in OURS)),
        ("CPU from the start to the first delivery", *(f"{start[one]:.2f} s" for one in OURS)),
        ("peak with 1,000 messages of 10 KB in hand", _mega(memory["full"]), ""),
        (f"in use after {memory['messages'] // 10:,} messages", _mega(memory["after"][0]), ""),
        (f"in use after {memory['messages']:,} messages", _mega(memory["after"][-1]), ""),
    ]
    return [Table("", ("", *OURS), rows)]


def cost(results: Results) -> list[Table]:
    """Dollars."""
    rows = [(one["way"], f"{one['dollars']:.2f}", one["how"]) for one in results["cost"]]
    return [Table("", ("a million messages", "$", "arithmetic"), rows)]


def targets(results: Results) -> list[Table]:
    """What was meant to be reached."""
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
    """Who is measured."""
    return [Table("", ("who", "what it is"), list(results["peers"].items()))]


def machine(results: Results) -> list[Table]:
    """Where and when."""
    rows = [(name, str(results[name])) for name in ("date", "machine", "rounds")]
    return [Table("", ("", ""), rows)]


SECTIONS: Mapping[str, Callable[[Results], list[Table]]] = {
    "machine": machine,
    "peers": peers,
    "targets": targets,
    "pull": pull,
    "push": push,
    "telemetry": telemetry,
    "growth": growth,
    "resources": resources,
    "cost": cost,
}


def _contest(title: str, contestants: Mapping[str, Any]) -> Table:
    columns = (
        *("", "CPU µs", "rounds", "SQS requests", "POSTs", "messages/s"),
        *("in hand, p50", "p99", "peak MB"),
    )
    rows = [
        (
            name,
            _micro(one["cpu"]),
            _spread(one),
            f"{one['requests']:.3f}",
            f"{one['posts']:.4f}",
            f"{one['rate']:,.0f}",
            f"{one['held'][0] * 1e3:.0f} ms",
            f"{one['held'][1] * 1e3:.0f} ms",
            f"{one['peak'] / MEGABYTE:.0f}",
        )
        for name, one in contestants.items()
    ]
    return Table(title, columns, rows)


def _spread(one: Mapping[str, Any]) -> str:
    """From the least to the most of all rounds."""
    return f"{min(one['rounds']):,.0f} to {max(one['rounds']):,.0f}"


def _middle(turns: Sequence[float]) -> str:
    """What half of them were between."""
    low, _, high = statistics.quantiles(turns, n=4)
    return f"{low:,.0f} to {high:,.0f}"


def _micro(value: float) -> str:
    return f"{value:,.0f}"


def _mega(value: float) -> str:
    return f"{value / MEGABYTE:.0f} MB"
