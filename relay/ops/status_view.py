"""The screen: tables of queues and relays, and the sentences below them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from relay.ops.status import COUNTERS, QueueStatus, RelayStatus, StatusReport

_COLOURS = {"closed": "green", "half-open": "yellow", "open": "yellow", "halted": "bold red"}
_STEPS = ((86_400, "d"), (3_600, "h"), (60, "min"))

Rates = Mapping[str, Mapping[str, float]]


def render_status(sample: StatusReport, rates: Rates) -> RenderableType:
    """One look as a person sees it. Without rates the relays' counts since their start stand."""
    when = datetime.fromtimestamp(sample.at, UTC).strftime("%Y-%m-%d %H:%M:%SZ")
    parts: list[RenderableType] = [Text(f"relay status, {when}", style="bold")]
    if sample.queues:
        parts += [Text(), _queues(sample.queues)]
    if sample.relays:
        parts += [Text(), _relays(sample.relays), Text(), _counts(sample.relays, rates)]
    words = [*_words(sample)]
    return Group(*parts, *([Text(), *words] if words else []))


def _queues(queues: tuple[QueueStatus, ...]) -> Table:
    table = _table("queue", "visible", "in flight", "delayed", "oldest")
    for queue in queues:
        counts = (queue.visible, queue.in_flight, queue.delayed)
        table.add_row(queue.name, *(f"{count:,}" for count in counts), _age(queue.oldest))
    return table


def _relays(relays: tuple[RelayStatus, ...]) -> Table:
    table = _table("relay", "circuit", "in hand")
    for relay in relays:
        state = relay.circuit or ("unknown" if relay.problem is None else "-")
        in_flight = "-" if relay.in_flight is None else f"{relay.in_flight:,}"
        table.add_row(relay.url, Text(state, style=_COLOURS.get(state, "")), in_flight)
    return table


def _counts(relays: tuple[RelayStatus, ...], rates: Rates) -> Table:
    """A table of its own: beside the state it would be wider than a terminal is."""
    title = "per second" if rates else "since its start"
    table = _table(title, *(_spaced(name) for name in COUNTERS))
    for relay in relays:
        told = rates.get(relay.url, {}) if rates else relay.counters
        table.add_row(relay.url, *(_number(told.get(name), rate=bool(rates)) for name in COUNTERS))
    return table


def _words(sample: StatusReport) -> Iterator[Text]:
    for relay in sample.relays:
        setting = f" (see {relay.setting})" if relay.setting else ""
        if relay.problem:
            yield _line(f"{relay.url}: {relay.problem}", "yellow")
        if relay.reason:
            yield _line(f"{relay.url}: {relay.reason}{setting}", "red")
        if relay.last_error and relay.last_error != relay.reason:
            yield _line(f"{relay.url}, last error: {relay.last_error}", "dim")
    for gap in sample.gaps:
        yield _line(gap, "yellow")


def _line(text: str, style: str) -> Text:
    # A server's words may hold what a terminal would obey.
    return Text("".join(c if c.isprintable() else "?" for c in text), style=style)


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
    for size, unit in _STEPS:
        if seconds >= size:
            return f"{seconds / size:.1f} {unit}"
    return f"{seconds:.0f} s"
