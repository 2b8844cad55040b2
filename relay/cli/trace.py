"""`relay trace`: show everything that happened to one event."""

from __future__ import annotations

import asyncio
import contextlib
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table
from rich.text import Text

from relay.app.trace import TraceOptions, configured_logs, trace_event
from relay.cli.startup import FAILED, USAGE, EnvFile, fail, load_settings
from relay.dlq.filters import parse_time
from relay.dlq.snapshot import Unreadable
from relay.ops.trace.logs import spooled
from relay.ops.trace.timeline import Trace
from relay.output.console import open_console, safe_text
from relay.output.tables import print_lines, terminal_width
from relay.output.terminal import echo, echo_json
from relay.output.times import format_duration
from relay.settings.model import Settings

EXIT_CODES = "Exit codes: 0 a record was found, 1 none was found, 2 wrong usage or settings."

EXAMPLES = """\
relay trace upload-4711 --log-group /aws/elasticbeanstalk/relay/audit
relay trace upload-4711 --snapshot dead.jsonl.gz --name media/uploaded
relay trace 0f0e4c1e-2b6c-4a9e-9d0c-5f1f3c6b7a8d --scan-dlq --json
"""

_WIDE = 110
"""Columns from which on each time has its date."""

_MILLISECONDS_UP_TO = 60.0
"""Seconds after the first entry up to which times are shown in milliseconds."""

_COLOURS = {"log": "green", "dlq": "red", "ledger": "blue", "inngest": "magenta"}


def command(  # noqa: PLR0913 - a parameter for each option
    ident: Annotated[
        str,
        typer.Argument(
            metavar="ID",
            help="An event id, an SQS MessageId, the producer's id or the orchestrator's id.",
        ),
    ],
    *,
    log: Annotated[
        list[Path] | None,
        typer.Option(
            "--log",
            metavar="FILE",
            help="A file of JSON log lines, plain or .gz; - reads standard input. Default:"
            " RELAY_LOG_FILE and its rotated files. Repeatable.",
        ),
    ] = None,
    log_group: Annotated[
        str | None, typer.Option(metavar="NAME", help="A CloudWatch log group to search.")
    ] = None,
    snapshot: Annotated[
        list[Path] | None,
        typer.Option(metavar="FILE", help="A snapshot from `relay dlq pull`. Repeatable."),
    ] = None,
    scan_dlq: Annotated[
        bool,
        typer.Option(
            "--scan-dlq",
            help="Receive every message in the dead-letter queue once and release it. This"
            " increments their receive counts.",
        ),
    ] = False,
    name: Annotated[
        str | None,
        typer.Option(
            metavar="EVENT",
            help="The event's name; needed for the ledger unless another source has it.",
        ),
    ] = None,
    since: Annotated[
        str,
        typer.Option(metavar="TIME", help="How far back to search: a UTC time, or e.g. 36h, 14d."),
    ] = "14d",
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    env_file: EnvFile = None,
) -> None:
    """Show what happened to one event, in order of time.

    Searches the log lines, dead letters, ledger and orchestrator that options and settings name,
    and reports sources that could not be read. Nothing is changed, except that --scan-dlq
    increments receive counts.
    """
    settings = load_settings(env_file)
    if not ident.strip():
        fail("the id is empty: give the id of an event or a message", code=USAGE)
    options = TraceOptions(
        name=name,
        since=_since(since),
        logs=log or configured_logs(settings),
        log_group=log_group,
        snapshots=snapshot or (),
        scan_dlq=scan_dlq,
    )
    trace = _trace(ident, settings, options)
    echo_json(trace.as_json(), indent=2) if as_json else _print(trace)
    not_searched = () if trace.entries else _not_searched(options)
    if not_searched:
        echo(f"relay: not searched: {', '.join(not_searched)}", err=True)
    raise typer.Exit(0 if trace.entries else FAILED)


def _since(text: str) -> float:
    try:
        return parse_time(text, time.time())
    except ValueError as error:
        fail(f"--since: {error}", code=USAGE)


def _trace(ident: str, settings: Settings, options: TraceOptions) -> Trace:
    with contextlib.ExitStack() as stack:
        logs = [
            stack.enter_context(spooled(sys.stdin)) if str(path) == "-" else path
            for path in options.logs
        ]
        try:
            return asyncio.run(trace_event(ident, settings, replace(options, logs=logs)))
        except Unreadable as error:
            fail(str(error), code=USAGE)


def _not_searched(options: TraceOptions) -> tuple[str, ...]:
    """The sources that were not searched, with the options that add them."""
    dead_letters = options.scan_dlq or options.snapshots
    logs = options.logs or options.log_group
    return (
        *(() if dead_letters else ("the dead letters (--scan-dlq, --snapshot)",)),
        *(() if logs else ("the log (--log, --log-group)",)),
    )


def _print(trace: Trace) -> None:
    width = terminal_width()
    short = width is not None and width < _WIDE
    print_lines(_ids(trace))
    if width is None:
        print_lines(Text(" ").join(row) for row in _rows(trace, short=False))
    elif trace.entries:
        open_console().print(_table(_rows(trace, short=short)))
    if not trace.entries:
        print_lines([f"No record of {trace.known.query} was found."])
    for source, reason in trace.gaps:
        echo(f"relay: {source}: {reason}", err=True)


def _ids(trace: Trace) -> Iterator[str]:
    for name, ident in sorted(trace.known.events):
        yield f"event    {name or '?'} {ident}"
    for ident in sorted(trace.known.messages):
        yield f"message  {ident}"


def _table(rows: Iterable[Sequence[Text]]) -> Table:
    """The rows with the text in a column of its own, so that a long one keeps its place."""
    table = Table.grid(padding=(0, 1, 0, 0))
    for _ in range(3):
        table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for row in rows:
        table.add_row(*row)
    return table


def _rows(trace: Trace, *, short: bool) -> Iterator[Sequence[Text]]:
    """Time, seconds since the first entry, source and text; `short` puts dates on their own row."""
    first = next((entry.at for entry in trace.entries if entry.at is not None), None)
    date = ""
    for entry in trace.entries:
        day, time_of_day, after = "", "time unknown", ""
        if entry.at is not None:
            at = datetime.fromtimestamp(entry.at, UTC)
            day, time_of_day = at.strftime("%Y-%m-%d"), at.strftime("%H:%M:%S.%f")[:-3] + "Z"
            after = _after(entry.at - (first or entry.at))
        if short and day not in ("", date):
            date = day
            yield [Text(day, style="bold")]
        when = time_of_day if short else f"{day} {time_of_day}".strip()
        later = "dim" if entry.at is not None and entry.at > time.time() else ""
        yield [
            Text(f"{when:<{13 if short else 24}}", style=later),
            Text(f"{after:>9} ", style=later),
            Text(f"{entry.source:<8}", style=_COLOURS.get(entry.source, "")),
            safe_text(entry.what),
        ]


def _after(seconds: float) -> str:
    if abs(seconds) < _MILLISECONDS_UP_TO:
        return f"+{seconds:.3f} s"
    return f"+{format_duration(seconds)}"
