"""Showing a plan: what would become of each group, before anything is touched."""

from __future__ import annotations

import json
from collections.abc import Iterator

import typer

from relay.commands.dlq.table import table
from relay.dlq.fate import MEANING
from relay.dlq.plan import Plan

_MOST = 30


def show(plan: Plan, *, as_json: bool, ledger: bool) -> None:
    """Print the plan."""
    if as_json:
        typer.echo(json.dumps({"plan": plan.as_json(), "ledger": ledger}, indent=2))
    else:
        typer.echo("\n".join(_told(plan, ledger=ledger)))
    typer.echo("relay: nothing was touched; --yes does it", err=True)


def show_drop(plan: Plan, queue: str) -> None:
    """Print what a drop would take away, on standard error: the end goes to standard output."""
    rows = [(name, code, part.goes) for (name, code), part in plan.largest()]
    lines = table(("event", "code", "messages"), rows) if rows else ()
    count = plan.goes + plan.copies
    text = [f"{count} of {plan.met} messages would be deleted from {queue}", *lines]
    typer.echo("\n".join(text), err=True)


def _told(plan: Plan, *, ledger: bool) -> Iterator[str]:
    copies = f"; {plan.copies} are copies of others and go with them" if plan.copies else ""
    yield f"{plan.goes} of {plan.met} messages would go{copies}"
    if not plan.parts:
        return
    yield ""
    yield from table(("event", "code", "messages", "events", "to", "what happens"), _rows(plan))
    fates = {fate for part in plan.parts.values() for fate in part.fates}
    yield ""
    for fate in sorted(fates):
        yield f"{fate}: {MEANING[fate]}"
    for code, reason in plan.reasons.items():
        yield f"{code}: {reason}"
    if not ledger:
        yield "there is no ledger: what ran is judged by age and by what the relay noted"


def _rows(plan: Plan) -> Iterator[tuple[object, ...]]:
    for (name, code), part in plan.largest()[:_MOST]:
        ends = [f"{n} {fate}" for fate, n in part.fates.items()]
        ends += [f"{n} stays ({why})" for why, n in part.stays.items()]
        yield name, code, part.goes, part.events, ", ".join(part.targets) or "-", ", ".join(ends)
