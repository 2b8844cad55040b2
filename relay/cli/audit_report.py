"""Prints what an audit found."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from relay.ops.audit.report import MEANING, AuditReport
from relay.ops.audit.rerun import failed_events
from relay.ops.audit.state import AuditState
from relay.output.tables import Column, print_table
from relay.output.terminal import echo
from relay.output.times import format_time

MAX_ROWS = 30


def print_report(report: AuditReport) -> None:
    """The counts by state, name, function and hour."""
    echo(
        f"{report.events} events accepted from {format_time(report.since)} to"
        f" {format_time(report.until)} (source: {report.source})"
    )
    if not report.events:
        return
    states = [state for state in MEANING if report.states[state]]
    rows = [(state, report.states[state], MEANING[state]) for state in states]
    echo("")
    print_table((Column("state"), Column("events", right=True), Column("meaning", least=20)), rows)
    _print_counts("event", report.by_name, states)
    if report.functions:
        statuses = sorted({status for counts in report.functions.values() for status in counts})
        _print_counts("function (its runs)", report.functions, statuses)
    _print_counts("hour", report.by_hour, states, by_size=False)
    if report.unheard:
        echo("")
        print_unheard(report)


def print_unheard(report: AuditReport) -> None:
    """The names that no function listens to."""
    if not report.unheard:
        echo("A function listens to every name.")
        return
    rows = [(one.name, one.events, one.nearest or "-") for one in report.unheard]
    columns = (
        Column("no function listens to", least=20),
        Column("events", right=True),
        Column("nearest name that one does", least=20),
    )
    print_table(columns, rows[:MAX_ROWS])
    _print_rest(len(rows))


def print_failed(state: AuditState) -> None:
    """Each event of a failed run, with the functions that failed."""
    rows = [
        (
            format_time(event.at),
            event.name,
            event.id,
            ", ".join(sorted({run.function for run in event.runs if run.status == "failed"})),
        )
        for event in failed_events(state)
    ]
    if not rows:
        echo("No run failed.")
        return
    columns = (
        Column("accepted"),
        Column("event", least=12),
        Column("id", least=12),
        Column("failed", least=12),
    )
    print_table(columns, rows)


def _print_counts(
    what: str,
    groups: Mapping[str, Counter[str]],
    columns: Sequence[str],
    *,
    by_size: bool = True,
) -> None:
    order = sorted(groups, key=lambda key: (-groups[key].total() if by_size else 0, key))
    rows = [(key, *(groups[key][column] for column in columns)) for key in order]
    counts = (Column(column, right=True) for column in columns)
    echo("")
    print_table((Column(what, least=20), *counts), rows[:MAX_ROWS])
    _print_rest(len(rows))


def _print_rest(count: int) -> None:
    if count > MAX_ROWS:
        echo(f"and {count - MAX_ROWS} more: use --json")
