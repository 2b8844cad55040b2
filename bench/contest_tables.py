"""The contests as tables: pull mode, TLS, push mode and telemetry."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from bench.contestant import TELEMETRY_LEVELS
from bench.table import MEGABYTE, Results, Table, micro
from bench.targets import overhead


def pull(results: Results) -> list[Table]:
    """Pull mode and its peers."""
    return [
        _contest(results["workloads"][workload], who)
        for workload, who in results.get("pull", {}).items()
    ]


def tls(results: Results) -> list[Table]:
    """The same contests over TLS, with the connections that were opened."""
    columns = ("", "CPU µs", "rounds", "plain", "TLS connections", "resumed", "peak MB")
    return [
        Table(
            results["workloads"][workload],
            columns,
            [
                (
                    name,
                    micro(one["cpu"]),
                    _spread(one),
                    f"{one['cpu'] / results['pull'][workload][name]['cpu']:.2f}x",
                    f"{one['connections']:.0f}",
                    f"{one['resumed']:.0f}",
                    f"{one['peak'] / MEGABYTE:.0f}",
                )
                for name, one in contestants.items()
            ],
        )
        for workload, contestants in results.get("tls", {}).items()
    ]


def push(results: Results) -> list[Table]:
    """Push mode and a web worker."""
    return [
        _contest(results["workloads"][workload], who)
        for workload, who in results.get("push", {}).items()
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
                    micro(one["cpu"]),
                    _middle(one["turns"]),
                    f"{overhead(found, level):+.1%}",
                )
                for level, one in found.items()
            ],
        )
        for name, found in results.get("telemetry", {}).items()
    ]


def _contest(title: str, contestants: Mapping[str, Any]) -> Table:
    columns = (
        *("", "CPU µs", "rounds", "SQS requests", "POSTs", "messages/s"),
        *("in flight, p50", "p99", "peak MB"),
    )
    rows = [
        (
            name,
            micro(one["cpu"]),
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
