"""The results as tables, for the terminal and for docs/performance.md."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from bench import contest_tables, resource_tables
from bench.table import Results, Table


def targets(results: Results) -> list[Table]:
    """The targets, whether they are met, and why those are missed that are."""
    rows = [
        (
            one["name"],
            f"{one['found']:.3g}{one['unit']}",
            f"{one['limit']:g}{one['unit']}",
            "met" if one["met"] else f"**missed**: {one['reason']}",
        )
        for one in results["targets"]
    ]
    return [Table("", ("target", "found", "at most", ""), rows)]


def peers(results: Results) -> list[Table]:
    """The contestants."""
    return [Table("", ("contestant", "description"), list(results["peers"].items()))]


def machine(results: Results) -> list[Table]:
    """The machine and the date."""
    rows = [
        (name, _fact(results[name]))
        for name in ("date", "machine", "load", "rounds")
        if name in results
    ]
    return [Table("", ("", ""), rows)]


def _fact(value: object) -> str:
    return f"{value:.1f} (average of 15 minutes)" if isinstance(value, float) else str(value)


SECTIONS: Mapping[str, Callable[[Results], list[Table]]] = {
    "machine": machine,
    "peers": peers,
    "targets": targets,
    "pull": contest_tables.pull,
    "tls": contest_tables.tls,
    "push": contest_tables.push,
    "telemetry": contest_tables.telemetry,
    "growth": resource_tables.growth,
    "gateway": resource_tables.gateway,
    "resources": resource_tables.resources,
    "dead_letters": resource_tables.dead_letters,
    "cost": resource_tables.cost,
    "requests": resource_tables.requests,
}
