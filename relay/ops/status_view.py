"""The output of `relay status`: tables of queues and relays, with explanations below them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from relay.ops.status import COUNTERS, QueueStatus, RelayStatus, StatusReport
from relay.output.console import safe_text

_COLOURS = {
    "closed": "green",
    "half-open": "yellow",
    "open": "yellow",
    "halted": "bold red",
    "stuck": "bold red",
    "paused": "cyan",
}
_UNITS = ((86_400, "d"), (3_600, "h"), (60, "min"))

Rates = Mapping[str, Mapping[str, float]]


def render_status(report: StatusReport, rates: Rates) -> RenderableType:
    """The report as tables. Without rates, the counters since each relay's start are shown."""
    when = datetime.fromtimestamp(report.at, UTC).strftime("%Y-%m-%d %H:%M:%SZ")
    parts: list[RenderableType] = [Text(f"relay status, {when}", style="bold")]
    if report.queues:
        parts += [Text(), _queues(report.queues)]
    if report.relays:
        parts += [Text(), _relays(report.relays), Text(), _counters(report.relays, rates)]
    lines = [*_explanations(report)]
    return Group(*parts, *([Text(), *lines] if lines else []))


def _queues(queues: tuple[QueueStatus, ...]) -> Table:
    table = _table("queue", "visible", "in flight", "delayed", "oldest")
    for queue in queues:
        counts = (queue.visible, queue.in_flight, queue.delayed)
        table.add_row(queue.name, *(f"{count:,}" for count in counts), _age(queue.oldest_age))
    return table


def _relays(relays: tuple[RelayStatus, ...]) -> Table:
    table = _table("relay", "circuit", "in flight")
    for relay in relays:
        state = relay.circuit or ("unknown" if relay.problem is None else "-")
        state = "paused" if relay.paused and state == "closed" else state
        in_flight = "-" if relay.in_flight is None else f"{relay.in_flight:,}"
        table.add_row(relay.url, safe_text(state, _COLOURS.get(state, "")), in_flight)
    return table


def _counters(relays: tuple[RelayStatus, ...], rates: Rates) -> Table:
    """A separate table, because one with the state as well would not fit 80 columns."""
    title = "per second" if rates else "since start"
    table = _table(title, *(_spaced(name) for name in COUNTERS))
    for relay in relays:
        values = rates.get(relay.url, {}) if rates else relay.counters
        cells = (_number(values.get(name), rate=bool(rates)) for name in COUNTERS)
        table.add_row(relay.url, *cells)
    return table


def _explanations(report: StatusReport) -> Iterator[Text]:
    for queue in report.queues:
        if queue.pause:
            yield _line(f"{queue.name}: {queue.pause}", "cyan")
    for relay in report.relays:
        setting = f" (see {relay.setting})" if relay.setting else ""
        if relay.paused and relay.circuit != "closed":
            yield _line(f"{relay.url}: paused", "cyan")
        if relay.problem:
            yield _line(f"{relay.url}: {relay.problem}", "yellow")
        if relay.reason:
            yield _line(f"{relay.url}: {relay.reason}{setting}", "red")
        for warning in relay.warnings:
            yield _line(f"{relay.url}: {warning}", "yellow")
        if relay.last_error and relay.last_error != relay.reason:
            yield _line(f"{relay.url}, last error: {relay.last_error}", "dim")
    for gap in report.gaps:
        yield _line(gap, "yellow")


def _line(text: str, style: str) -> Text:
    return safe_text(text, style)


def _table(*titles: str) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for index, title in enumerate(titles):
        table.add_column(title, justify="left" if index == 0 else "right", no_wrap=True)
    return table


def _number(value: float | None, *, rate: bool) -> str:
    if value is None:
        return "-"
    return f"{value:,.1f}" if rate else f"{value:,.0f}"


def _spaced(name: str) -> str:
    return "".join(f" {c.lower()}" if c.isupper() else c for c in name).strip()


def _age(seconds: float | None) -> str:
    if seconds is None:
        return "-"
    for size, unit in _UNITS:
        if seconds >= size:
            return f"{seconds / size:.1f} {unit}"
    return f"{seconds:.0f} s"
