"""`relay audit`: show what became of the events that the orchestrator accepted."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import replace
from enum import Enum
from pathlib import Path
from typing import Annotated, Any

import typer

from relay.app.auditing import AuditOptions
from relay.cli import audit_rerun
from relay.cli.audit_report import print_failed, print_report, print_unheard
from relay.cli.audit_run import check_complete, opened_state, run_audit, stored_scope
from relay.cli.dlq import options as o
from relay.cli.startup import FAILED, USAGE, EnvFile, fail, load_settings
from relay.dlq.filters import parse_time
from relay.ops.audit.accepted import Scope
from relay.ops.audit.report import MEANING, AuditReport
from relay.ops.audit.requests import CONCURRENCY, RATE
from relay.ops.audit.rerun import event_json, failed_events
from relay.ops.audit.state import AuditState
from relay.output.terminal import echo_json

EXIT_CODES = (
    "Exit codes: 0 no event is in a state that --fail-on names, 1 some are, 2 wrong usage or"
    " settings, 3 the audit is incomplete. With --rerun --yes those of `relay dlq redrive`."
)

EXAMPLES = """\
relay audit --since 2h
relay audit --from 2026-05-04 --to 2026-05-05 --name 'media/*' --json
relay audit --log relay.log --fail-on failed --fail-on missing
relay audit --since 24h --unheard
relay audit --since 6h --failed --rerun --canary 3 --yes
"""

FailOn = Enum("FailOn", {state: state for state in (*MEANING, "none")}, type=str)  # type: ignore[misc]  # from a table
DEFAULT_FAIL_ON = ("failed", "unheard", "missing")


def command(  # noqa: PLR0913 - a parameter for each option
    *,
    since: Annotated[
        str | None,
        typer.Option(
            metavar="TIME", help="Accepted since: an age such as 2h, or a UTC time. Default: 24h."
        ),
    ] = None,
    from_: Annotated[
        str | None, typer.Option("--from", metavar="TIME", help="The same as --since.")
    ] = None,
    to: Annotated[
        str | None, typer.Option("--to", metavar="TIME", help="Accepted before. Default: now.")
    ] = None,
    names: o.Names = None,
    log: Annotated[
        list[Path] | None,
        typer.Option(
            "--log",
            metavar="FILE",
            help="Take the accepted events from log files of the relay, plain or .gz; - reads"
            " standard input. Repeatable. Default: the orchestrator's own list.",
        ),
    ] = None,
    ledger: Annotated[
        bool,
        typer.Option(
            "--ledger", help="Take the accepted events from the ledger; reads the whole table."
        ),
    ] = False,
    signals: Annotated[
        list[str] | None,
        typer.Option(
            "--signal",
            metavar="PATTERN",
            help="Names of events that only steps wait for, which the orchestrator does not tell;"
            " repeatable.",
        ),
    ] = None,
    unheard: Annotated[
        bool, typer.Option("--unheard", help="Only list the names that no function listens to.")
    ] = False,
    failed: Annotated[
        bool, typer.Option("--failed", help="Only list the events of failed runs.")
    ] = False,
    fail_on: Annotated[
        list[FailOn] | None,
        typer.Option(
            "--fail-on",
            help="Exit with 1 if an event is in this state; repeatable. Default:"
            f" {', '.join(DEFAULT_FAIL_ON)}.",
        ),
    ] = None,
    state: Annotated[
        Path | None,
        typer.Option(
            "--state",
            metavar="FILE",
            help="File for what was read; with an existing one its audit is resumed. Default: a"
            " temporary one, which is kept if the audit is interrupted.",
        ),
    ] = None,
    concurrency: Annotated[
        int, typer.Option(min=1, max=64, help="The most requests at once.")
    ] = CONCURRENCY,
    request_rate: Annotated[
        float, typer.Option(min=0.1, help="The most requests a second.")
    ] = RATE,
    rerun: Annotated[
        bool,
        typer.Option("--rerun", help="With --failed: publish these events again, with new ids."),
    ] = False,
    all_functions: Annotated[
        bool,
        typer.Option(
            "--all-functions",
            help="With --rerun: also events for which another function did not fail and would run"
            " again.",
        ),
    ] = False,
    limit: Annotated[
        int | None, typer.Option(min=1, help="With --rerun: publish at most this many events.")
    ] = None,
    rate: Annotated[
        float | None,
        typer.Option(min=0.01, help="With --rerun: publish at most this many events a second."),
    ] = None,
    canary: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="With --rerun: deliver this many first, directly to the orchestrator; publish the"
            " rest only if all of them are accepted.",
        ),
    ] = None,
    canary_deadline: Annotated[
        float, typer.Option(min=1, help="Seconds that each event of the canary may take.")
    ] = 120.0,
    yes: o.Yes = False,
    journal_directory: o.JournalDirectory = None,
    as_json: o.AsJson = False,
    dlq: o.Dlq = None,
    queue: o.Main = None,
    env_file: EnvFile = None,
) -> None:
    """Show what became of every event that the orchestrator accepted.

    Reads the runs of each event and counts events by state, name, function and hour. Nothing is
    changed, except with --failed --rerun --yes, which publishes the events of failed runs to the
    queue again. Ctrl-C finishes the requests under way; an interrupted audit is resumed with the
    same options and its --state.
    """
    settings = load_settings(env_file)
    if settings.destination != "inngest":
        fail("only events of Inngest can be audited: RELAY_DESTINATION is another", code=USAGE)
    if rerun and not failed:
        fail("--rerun needs --failed", code=USAGE)
    if not rerun and (yes or all_functions or canary or limit or rate or journal_directory):
        fail("--yes and the options of a rerun need --failed --rerun", code=USAGE)
    if (unheard and failed) or (ledger and log):
        fail("--unheard and --failed exclude each other, and so do --log and --ledger", code=USAGE)
    if ledger and not settings.ledger_table:
        fail("--ledger needs RELAY_LEDGER_TABLE", code=USAGE)
    window = {"since": since or from_ or "24h", "to": to}
    scope = _scope(since, from_, to, names or ())
    options = AuditOptions(
        scope=scope,
        logs=log or (),
        ledger=ledger,
        signals=signals or (),
        concurrency=concurrency,
        rate=request_rate,
    )
    repeated = {
        **window,
        "names": list(scope.names),
        "logs": [str(path) for path in options.logs],
        "ledger": ledger,
        "url": settings.inngest_url,
    }
    wanted = audit_rerun.RerunOptions(
        all_functions=all_functions,
        limit=limit,
        rate=rate,
        canary=canary,
        canary_deadline=canary_deadline,
        as_json=as_json,
        journal=journal_directory,
        yes=yes,
    )
    with opened_state(state, repeated, scope) as opened:
        options = replace(options, scope=stored_scope(opened, scope))
        report = run_audit(settings, options, opened)
        if rerun:
            check_complete(report)
            asyncio.run(audit_rerun.run(settings, opened, wanted, options, dlq, queue))
            return
        if as_json:
            echo_json(_as_json(report, opened, failed=failed), indent=2)
        elif unheard:
            print_unheard(report)
        elif failed:
            print_failed(opened)
        else:
            print_report(report)
        check_complete(report)
    chosen = {one.value for one in fail_on} if fail_on else set(DEFAULT_FAIL_ON)
    raise typer.Exit(FAILED if any(report.states[one] for one in chosen) else 0)


def _as_json(report: AuditReport, state: AuditState, *, failed: bool) -> dict[str, Any]:
    found = report.as_json()
    if failed:
        found["failed"] = [event_json(event) for event in failed_events(state)]
    return found


def _scope(since: str | None, from_: str | None, to: str | None, names: Sequence[str]) -> Scope:
    if since is not None and from_ is not None:
        fail("--since and --from exclude each other", code=USAGE)
    now = time.time()
    option = "--from" if from_ is not None else "--since"
    begin = _time(option, since or from_ or "24h", now)
    end = now if to is None else _time("--to", to, now)
    if begin >= end:
        fail(f"{option} is not before --to: no event can be in between", code=USAGE)
    return Scope(since=begin, until=end, names=tuple(names))


def _time(option: str, text: str, now: float) -> float:
    try:
        return parse_time(text, now)
    except ValueError as error:
        fail(f"{option}: {error}", code=USAGE)
