"""The run's figures as tables for people."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.console import Console
from rich.table import Table

from bench.targets import Target

MEGABYTE = 1_000_000


def told(results: Mapping[str, Any], found: list[Target], console: Console) -> None:
    """Print everything but the JSON."""
    for mode in ("pull", "push"):
        for work, contestants in results[mode].items():
            console.print(_contest(f"{mode}: {results['workloads'][work]}", contestants))
    if results["telemetry"]:
        console.print(_contest("telemetry: events of 300 B", results["telemetry"]))
    for name in ("in_hand", "relays"):
        if results["growth"].get(name):
            console.print(_plain(f"growth: {name.replace('_', ' ')}", results["growth"][name]))
    console.print(_costs(results["cost"]))
    console.print(_targets(found))
    for name, about in results["peers"].items():
        console.print(f"{name}: {about}")


def _contest(title: str, contestants: Mapping[str, Any]) -> Table:
    columns = ("", "CPU us", "(all rounds)", "SQS", "POSTs", "msg/s", "held p50", "p99", "peak MB")
    table = Table(*columns, title=title, title_justify="left")
    for name, one in contestants.items():
        rounds = " ".join(f"{value:.0f}" for value in one["rounds"])
        table.add_row(
            name,
            f"{one['cpu']:.0f}",
            rounds,
            f"{one['requests']:.3f}",
            f"{one['posts']:.4f}",
            f"{one['rate']:.0f}",
            f"{one['held'][0] * 1e3:.0f} ms",
            f"{one['held'][1] * 1e3:.0f} ms",
            f"{one['peak'] / MEGABYTE:.0f}",
        )
    return table


def _plain(title: str, rows: list[dict[str, float]]) -> Table:
    table = Table(*rows[0], title=title, title_justify="left")
    for row in rows:
        table.add_row(*(f"{value:.4g}" for value in row.values()))
    return table


def _costs(rows: list[dict[str, Any]]) -> Table:
    table = Table("a million messages", "$", "how", title="cost", title_justify="left")
    for row in rows:
        table.add_row(row["way"], f"{row['dollars']:.2f}", row["how"])
    return table


def _targets(found: list[Target]) -> Table:
    table = Table("target", "found", "at most", "", title="targets", title_justify="left")
    for one in found:
        table.add_row(
            one.name,
            f"{one.found:.3g}{one.unit}",
            f"{one.limit:g}{one.unit}",
            "met" if one.met else "[red]missed[/red]",
        )
    return table
