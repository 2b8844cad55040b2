"""`relay doctor`: everything that can be checked before it hurts."""

from __future__ import annotations

import asyncio
import json
import sys
from collections import Counter
from collections.abc import Sequence
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from relay.app.doctor import run_checks
from relay.cli.startup import FAILED, EnvFile
from relay.ops.doctor.result import CheckResult, CheckStatus, failed
from relay.settings.loading import load

EXIT_CODES = "Exit codes: 0 nothing failed, 1 something did, 2 wrong usage."

_STYLES: dict[CheckStatus, str] = {
    "ok": "green",
    "warn": "yellow",
    "fail": "bold red",
    "not checked": "cyan",
}
_WIDTH = 140
"""Columns where there is no terminal to ask."""

_ROOMY = 120
"""Columns from which on the names of the checks have one of their own."""


def command(
    *,
    pull: Annotated[
        bool, typer.Option("--pull", help="Check for `relay poll` instead of `relay serve`.")
    ] = False,
    env_file: EnvFile = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Check queues, keys, clocks, permissions and the orchestrator; change nothing.

    Run it where the relay runs and with its credentials: what it finds holds for whoever asks. No
    message is received and no event sent. Where only that would tell, it says "not checked", and
    which statement the role needs.
    """
    findings = asyncio.run(run_checks(load(env_file=env_file), pull=pull))
    if as_json:
        typer.echo(json.dumps(_document(findings), indent=2))
    else:
        _print(findings)
    raise typer.Exit(FAILED if failed(findings) else 0)


def _document(findings: Sequence[CheckResult]) -> dict[str, object]:
    return {
        "healthy": not failed(findings),
        "counts": _counts(findings),
        "findings": [finding.as_json() for finding in findings],
    }


def _print(findings: Sequence[CheckResult]) -> None:
    terminal = sys.stdout.isatty()
    console = Console(file=sys.stdout, width=None if terminal else _WIDTH, highlight=False)
    console.print(_wide(findings) if console.width >= _ROOMY else _narrow(findings))
    console.print(_summary(findings))


def _wide(findings: Sequence[CheckResult]) -> Table:
    table = _table("", "check", "found, why it matters, what to do")
    for finding in findings:
        table.add_row(_state(finding), finding.check, _told(finding))
    return table


def _narrow(findings: Sequence[CheckResult]) -> Table:
    """The check above what was found, which beside it would have a few columns left."""
    table = _table("", "check, what was found, why it matters, what to do")
    for finding in findings:
        table.add_row(_state(finding), Text(f"{finding.check}\n", style="bold") + _told(finding))
    return table


def _table(*titles: str) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for title in titles:
        table.add_column(title, overflow="fold", no_wrap=title in ("", "check"))
    return table


def _state(finding: CheckResult) -> Text:
    return Text(finding.state, style=_STYLES[finding.state])


def _told(finding: CheckResult) -> Text:
    text = Text(finding.found)
    for sentence in (finding.why, finding.fix and f"→ {finding.fix}"):
        if sentence:
            text.append(f"\n{sentence}")
    if finding.statement:
        text.append(f"\n{json.dumps(finding.statement.document())}", style="dim")
    return text


def _summary(findings: Sequence[CheckResult]) -> str:
    return ", ".join(f"{count} {state}" for state, count in _counts(findings).items())


def _counts(findings: Sequence[CheckResult]) -> dict[CheckStatus, int]:
    """How many there are in each state, 0 included."""
    counts = Counter(finding.state for finding in findings)
    return {state: counts[state] for state in _STYLES}
