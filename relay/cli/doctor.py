"""`relay doctor`: check the configuration and everything that the relay depends on."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Sequence
from typing import Annotated

import typer
from rich.table import Table
from rich.text import Text

from relay.app.doctor import run_checks
from relay.cli.startup import FAILED, EnvFile, load_network
from relay.ops.doctor.result import CheckResult, CheckStatus, failed
from relay.output.console import PIPE_WIDTH, open_console, safe_text
from relay.output.terminal import echo_json, escape

EXIT_CODES = "Exit codes: 0 no check failed, 1 at least one failed, 2 wrong usage."

EXAMPLES = """\
relay doctor
relay doctor --pull --env-file relay.env
relay doctor --json | jq '.results[] | select(.status == "fail")'
"""

_STYLES: dict[CheckStatus, str] = {
    "ok": "green",
    "warn": "yellow",
    "fail": "bold red",
    "not checked": "cyan",
}
_WIDE = 120
"""Terminals with at least this many columns get a separate column for the check names."""


def command(
    *,
    pull: Annotated[
        bool, typer.Option("--pull", help="Check for pull mode (`relay poll`), not push mode.")
    ] = False,
    env_file: EnvFile = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Check the settings, queues, keys, timeouts, permissions and the orchestrator.

    Run it on the machine where the relay runs, with the relay's credentials: permissions are those
    of the caller. Nothing is changed, no message is received and no event is sent. A permission
    that cannot be tested without side effects is reported as "not checked", with the IAM statement
    that the role needs.
    """
    results = asyncio.run(run_checks(load_network(env_file), pull=pull))
    if as_json:
        echo_json(_document(results), indent=2)
    else:
        _print(results)
    raise typer.Exit(FAILED if failed(results) else 0)


def _document(results: Sequence[CheckResult]) -> dict[str, object]:
    return {
        "type": "checks",
        "healthy": not failed(results),
        "counts": _counts(results),
        "results": [result.as_json() for result in results],
    }


def _print(results: Sequence[CheckResult]) -> None:
    console = open_console(pipe_width=PIPE_WIDTH)
    console.print(_wide(results) if console.width >= _WIDE else _narrow(results))
    console.print(_summary(results))


def _wide(results: Sequence[CheckResult]) -> Table:
    table = _table("", "check", "result, why it matters, what to do")
    for result in results:
        table.add_row(_status(result), result.check, _details(result))
    return table


def _narrow(results: Sequence[CheckResult]) -> Table:
    """The same with the name of the check above the details instead of beside them."""
    table = _table("", "check, result, why it matters, what to do")
    for result in results:
        heading = Text.assemble((f"{result.check}\n", "bold"), _details(result))
        table.add_row(_status(result), heading)
    return table


def _table(*titles: str) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for title in titles:
        table.add_column(title, overflow="fold", no_wrap=title in ("", "check"))
    return table


def _status(result: CheckResult) -> Text:
    return Text(result.status, style=_STYLES[result.status])


def _details(result: CheckResult) -> Text:
    text = safe_text(result.found)
    for sentence in (result.why, result.fix and f"→ {result.fix}"):
        if sentence:
            text.append(f"\n{escape(sentence)}")
    if result.statement:
        text.append(f"\n{escape(json.dumps(result.statement.document()))}", style="dim")
    return text


def _summary(results: Sequence[CheckResult]) -> str:
    return ", ".join(f"{count} {status}" for status, count in _counts(results).items())


def _counts(results: Sequence[CheckResult]) -> dict[CheckStatus, int]:
    """The number of results by status, zeros included."""
    counts = Counter(result.status for result in results)
    return {status: counts[status] for status in _STYLES}
