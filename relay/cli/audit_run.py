"""Runs an audit for its command: its state file, its progress, and what ends it early."""

from __future__ import annotations

import asyncio
import contextlib
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, NoReturn

import typer

from relay.app.auditing import AuditOptions, open_audit
from relay.aws.errors import AwsError
from relay.cli.dlq.output import PARTIAL, Progress, stoppable
from relay.cli.startup import USAGE, fail
from relay.model.destination import Unavailable
from relay.ops.audit.accepted import Scope
from relay.ops.audit.report import AuditReport
from relay.ops.audit.state import AuditState, StateConflict
from relay.ops.inngest_api import UnusableAnswer
from relay.ops.trace.logs import spooled
from relay.ops.trace.timeline import SourceUnavailable
from relay.output.terminal import echo
from relay.settings.model import Settings


@contextlib.contextmanager
def opened_state(path: Path | None, repeated: dict[str, Any], scope: Scope) -> Iterator[AuditState]:
    """The state; a temporary file is removed unless the audit was interrupted."""
    temporary = path is None
    chosen = path or Path(tempfile.mkdtemp(prefix="relay-audit-"), "audit.state")
    fixed = {"since": scope.since, "until": scope.until}
    try:
        opened = AuditState(chosen, repeated, fixed)
    except StateConflict as error:
        fail(str(error), code=USAGE)
    except OSError as error:
        fail(f"{chosen} cannot be used: {error.strerror or error}", code=USAGE)
    try:
        with opened:
            yield opened
    except typer.Exit as ended:
        temporary = temporary and ended.exit_code != PARTIAL
        raise
    finally:
        if temporary:
            chosen.unlink(missing_ok=True)
            chosen.parent.rmdir()


def stored_scope(state: AuditState, scope: Scope) -> Scope:
    """The scope of the first start: `2h` means another time at each."""
    try:
        since, until = float(state.fixed["since"]), float(state.fixed["until"])
    except (KeyError, TypeError, ValueError):
        fail(f"{state.path} is not a state file of an audit", code=USAGE)
    return replace(scope, since=since, until=until)


def run_audit(settings: Settings, options: AuditOptions, state: AuditState) -> AuditReport:
    """Run the audit, with its progress on standard error. An error ends the command."""
    with contextlib.ExitStack() as stack:
        logs = [
            stack.enter_context(spooled(sys.stdin)) if str(path) == "-" else path
            for path in options.logs
        ]
        try:
            return asyncio.run(_run(settings, replace(options, logs=logs), state))
        except (SourceUnavailable, UnusableAnswer) as error:
            _incomplete(state, str(error))
        except Unavailable as error:
            _incomplete(state, error.reason)
        except AwsError as error:
            _incomplete(state, error.sentence)
        except StateConflict as error:
            fail(str(error), code=USAGE)
        except OSError as error:
            fail(f"{state.path} cannot be written: {error.strerror or error}")


async def _run(settings: Settings, options: AuditOptions, state: AuditState) -> AuditReport:
    ends = "the requests under way are finished"
    with stoppable(ends) as stop, Progress("looked up", total=0) as progress:
        async with open_audit(settings, options, state, stop) as audit:
            return await audit.run(lambda done, total: progress.at(done, total=total))


def check_complete(report: AuditReport) -> None:
    """End the command if not everything was read."""
    for note in report.notes:
        echo(f"relay: {note}", err=True)
    for gap in report.gaps:
        echo(f"relay: {gap}", err=True)
    if report.pending:
        echo(f"relay: {report.pending} accepted events were not looked up", err=True)
    if not report.complete:
        raise typer.Exit(PARTIAL)


def _incomplete(state: AuditState, why: str) -> NoReturn:
    fail(why, f"to resume: repeat the command with --state {state.path}", code=PARTIAL)
