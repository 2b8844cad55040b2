"""Prints what an audit found."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

from relay.cli.dlq.output import table
from relay.ops.audit.report import MEANING, AuditReport
from relay.ops.audit.rerun import failed_events
from relay.ops.audit.state import AuditState
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
    echo("", *table(("state", "events", "meaning"), rows))
    echo("", *_counts("event", report.by_name, states))
    if report.functions:
        statuses = sorted({status for counts in report.functions.values() for status in counts})
        echo("", *_counts("function (its runs)", report.functions, statuses))
    echo("", *_counts("hour", report.by_hour, states, by_size=False))
    if report.unheard:
        echo("")
        print_unheard(report)


def print_unheard(report: AuditReport) -> None:
    """The names that no function listens to."""
    if not report.unheard:
        echo("A function listens to every name.")
        return
    rows = [(one.name, one.events, one.nearest or "-") for one in report.unheard]
    head = ("no function listens to", "events", "nearest name that one does")
    echo(*table(head, rows[:MAX_ROWS]), *_more(len(rows)))


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
    echo(*table(("accepted", "event", "id", "failed"), rows))


def _counts(
    what: str,
    groups: Mapping[str, Counter[str]],
    columns: Sequence[str],
    *,
    by_size: bool = True,
) -> Iterator[str]:
    order = sorted(groups, key=lambda key: (-groups[key].total() if by_size else 0, key))
    rows = [(key, *(groups[key][column] for column in columns)) for key in order]
    yield from table((what, *columns), rows[:MAX_ROWS])
    yield from _more(len(rows))


def _more(count: int) -> Iterator[str]:
    if count > MAX_ROWS:
        yield f"and {count - MAX_ROWS} more: use --json"
