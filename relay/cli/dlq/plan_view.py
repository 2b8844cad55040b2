"""Shows plans: what a redrive or a drop would do to each group of dead letters."""

from __future__ import annotations

from collections.abc import Iterator

from rich.text import Text

from relay.dlq.edit import Change
from relay.dlq.failing import WOULD_BE_AMBIGUOUS, WOULD_FAIL
from relay.dlq.plan import GroupPlan, Plan
from relay.dlq.prediction import MEANING
from relay.output.tables import Column, cut, print_lines, print_table, print_text, terminal_width
from relay.output.terminal import echo, echo_json, escape

_MAX_ROWS = 30
_FAILING = (WOULD_FAIL, WOULD_BE_AMBIGUOUS)

_COLUMNS = (
    Column("event", least=12),
    Column("code", least=20, style="yellow"),
    Column("send", right=True, style="bold"),
    Column("delete", right=True),
    Column("leave", right=True, style="red"),
    Column("what happens", least=12),
)
_TO = Column("to", least=12)


def show_plan(plan: Plan, *, as_json: bool, ledger: bool) -> None:
    """Print the plan of a redrive."""
    if as_json:
        echo_json({"type": "plan", **plan.as_json(), "ledger": ledger}, indent=2)
    else:
        print_text(_summary(plan))
        if plan.groups:
            echo("")
            several = len(_targets(plan)) > 1
            columns = (*_COLUMNS, _TO) if several else _COLUMNS
            print_table(columns, (row[: len(columns)] for row in _rows(plan)))
            echo("")
            print_text(_explanations(plan, ledger=ledger))
        if plan.changes:
            print_lines(_changes(plan.changes))
    echo("relay: nothing was changed; --yes does it", err=True)


def show_drop(plan: Plan, queue: str) -> None:
    """Print the plan of a drop on standard error: only the result goes to standard output."""
    echo(f"{plan.selected} of {plan.examined} messages would be deleted from {queue}", err=True)
    if plan.groups:
        columns = (
            Column("event", least=12),
            Column("code", least=20, style="yellow"),
            Column("messages", right=True),
        )
        rows = [(name, code, group.selected) for (name, code), group in plan.largest()]
        print_table(columns, rows, err=True)


def _summary(plan: Plan) -> Iterator[Text]:
    targets = _targets(plan)
    to = f" to {escape(targets[0])}" if len(targets) == 1 else ""
    yield Text(f"{plan.selected} of {plan.examined} messages would be redriven{to}", "bold")
    if plan.duplicates:
        yield Text(
            f"{plan.duplicates} are copies of one of them with the same ids and body: they would"
            " only be deleted"
        )
    failing = sum(plan.skipped[code] for code in _FAILING)
    others = sum(plan.skipped.values()) - failing
    if failing:
        yield Text(
            f"{failing} would only be dead-lettered again and are left: --include-failing sends"
            " them all the same",
            "red",
        )
    if others:
        yield Text(f"{others} would be skipped for other reasons")
    for code, count in plan.unselected.items():
        what = "the filters exclude" if code == "filtered" else "not in the snapshot:"
        yield Text(f"{what} {count}", "dim")


def _targets(plan: Plan) -> list[str]:
    return sorted({target for group in plan.groups.values() for target in group.targets})


def _rows(plan: Plan) -> Iterator[tuple[object, ...]]:
    for (name, code), group in plan.largest()[:_MAX_ROWS]:
        left = sum(group.skipped.values())
        targets = ", ".join(group.targets) or "-"
        what = ", ".join(_what(group))
        yield name, code, group.selected, group.duplicates or "", left or "", what, targets
    more = len(plan.groups) - _MAX_ROWS
    if more > 0:
        yield f"({more} more groups)", "", "", "", "", "", ""


def _what(group: GroupPlan) -> Iterator[str]:
    counts = [*group.predictions.items(), *group.skipped.items()]
    for code, count in counts:
        yield code if len(counts) == 1 else f"{count} {code}"


def _explanations(plan: Plan, *, ledger: bool) -> Iterator[Text]:
    predictions = {one for group in plan.groups.values() for one in group.predictions}
    meanings = {code: MEANING[code] for code in sorted(predictions)} | plan.reasons
    for code, meaning in meanings.items():
        yield Text.assemble((f"{escape(code)}: ", "bold"), escape(meaning))
    if not ledger:
        yield Text(
            "Without a ledger, predictions follow from age and from what the relay recorded.", "dim"
        )


def _changes(changes: list[Change]) -> Iterator[Text]:
    """What the edit does to some of the dead letters, as a diff."""
    width = terminal_width()
    for change in changes:
        yield Text("")
        yield Text(f"the edit of {escape(change.message_id)} ({escape(change.name)}):", "bold")
        if not change.lines:
            yield Text("  it changes nothing")
        for line in change.lines:
            style = {"-": "red", "+": "green"}.get(line[:1], "")
            yield Text(escape(line) if width is None else cut(line, width), style)
