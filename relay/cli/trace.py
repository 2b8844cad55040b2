"""`relay trace`: everything that happened to one event."""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.text import Text

from relay.app.trace import TraceOptions, trace_event
from relay.cli.startup import FAILED, USAGE, EnvFile, fail, load_settings
from relay.dlq.filters import format_duration, parse_time
from relay.dlq.snapshot import Unreadable
from relay.ops.trace.logs import spooled
from relay.ops.trace.timeline import TimelineEntry, Trace
from relay.settings.model import Settings

EXIT_CODES = "Exit codes: 0 something is known, 1 nothing is, 2 wrong usage or settings."

_FINE = 60.0
"""Seconds up to which milliseconds are of interest."""

_COLOURS = {"log": "green", "dlq": "red", "ledger": "blue", "inngest": "magenta"}


def command(  # noqa: PLR0913 - a parameter for each option
    ident: Annotated[
        str, typer.Argument(metavar="ID", help="An event's id, an SQS MessageId, or yours.")
    ],
    *,
    log: Annotated[
        list[Path] | None,
        typer.Option(
            "--log",
            metavar="FILE",
            help="A file of JSON log lines, .gz too; - is standard input. RELAY_LOG_FILE and its"
            " older ones if not given. Repeatable.",
        ),
    ] = None,
    log_group: Annotated[
        str | None, typer.Option(metavar="NAME", help="A log group of CloudWatch to search.")
    ] = None,
    snapshot: Annotated[
        list[Path] | None,
        typer.Option(metavar="FILE", help="A snapshot of `relay dlq pull`. Repeatable."),
    ] = None,
    scan_dlq: Annotated[
        bool,
        typer.Option(
            "--peek",
            help="Receive the dead letters once and release them; each receive counts.",
        ),
    ] = False,
    name: Annotated[
        str | None,
        typer.Option(
            metavar="EVENT", help="The event's name: the ledger is asked by it and nothing less."
        ),
    ] = None,
    since: Annotated[
        str, typer.Option(metavar="TIME", help="How far back: a time in UTC, or 36h, 14d.")
    ] = "14d",
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    env_file: EnvFile = None,
) -> None:
    """Tell the story of one event, in order, from whoever knows a part of it.

    Log lines, dead letters, the ledger and the orchestrator are asked, as far as the options and
    the settings name them; it says which could not be. Only --peek leaves a trace of its own.
    """
    settings = load_settings(env_file)
    if not ident.strip():
        fail("the id is empty, and everything has that in it: name one", code=USAGE)
    wanted = TraceOptions(
        name=name,
        since=_since(since),
        logs=log or _of_settings(settings),
        log_group=log_group,
        snapshots=snapshot or (),
        scan_dlq=scan_dlq,
    )
    story = _told(ident, settings, wanted)
    typer.echo(json.dumps(story.as_json(), indent=2)) if as_json else _print(story)
    unasked = () if story.moments else _unasked(wanted)
    if unasked:
        typer.echo(f"relay: not asked: {', '.join(unasked)}", err=True)
    raise typer.Exit(0 if story.moments else FAILED)


def _since(text: str) -> float:
    try:
        return parse_time(text, time.time())
    except ValueError as error:
        fail(f"--since: {error}", code=USAGE)


def _of_settings(settings: Settings) -> list[Path]:
    """The log file that the settings name, and those before it."""
    if settings.log_file is None:
        return []
    path = Path(settings.log_file)
    return sorted(path.parent.glob(f"{path.name}*"), reverse=True)


def _told(ident: str, settings: Settings, wanted: TraceOptions) -> Trace:
    with contextlib.ExitStack() as stack:
        logs = [
            stack.enter_context(spooled(sys.stdin)) if str(path) == "-" else path
            for path in wanted.logs
        ]
        try:
            return asyncio.run(trace_event(ident, settings, replace(wanted, logs=logs)))
        except Unreadable as error:
            fail(str(error), code=USAGE)


def _unasked(wanted: TraceOptions) -> tuple[str, ...]:
    """Who may know more, and which option asks them."""
    letters = wanted.scan_dlq or wanted.snapshots
    logs = wanted.logs or wanted.log_group
    return (
        *(() if letters else ("the dead letters (--peek, --snapshot)",)),
        *(() if logs else ("the log (--log, --log-group)",)),
    )


def _print(story: Trace) -> None:
    console = Console(file=sys.stdout, highlight=False, soft_wrap=True)
    for line in _lines(story):
        console.print(line)
    if not story.moments:
        console.print(f"Nothing is known about {story.known.asked}.", markup=False)
    for source, reason in story.gaps:
        typer.echo(f"relay: {source}: {reason}", err=True)


def _lines(story: Trace) -> Iterator[Text]:
    for kind, names in (
        ("event", [f"{name or '?'} {ident}" for name, ident in sorted(story.known.events)]),
        ("message", sorted(story.known.messages)),
    ):
        for named in names:
            yield Text(f"{kind:<8} {named}")
    first = next((m.at for m in story.moments if m.at is not None), None)
    for one in story.moments:
        yield _line(one, first)


def _line(one: TimelineEntry, first: float | None) -> Text:
    when, after = "time not known", ""
    if one.at is not None:
        when = datetime.fromtimestamp(one.at, UTC).strftime("%Y-%m-%d %H:%M:%S.%f")[:-3] + "Z"
        after = _after(one.at - (first or one.at))
    text = Text(f"{when:<24} {after:>9}  ", style="dim" if one.at and one.at > time.time() else "")
    text.append(f"{one.source:<8}", style=_COLOURS.get(one.source, ""))
    # What a server or a producer said may hold what a terminal would obey.
    text.append(f" {''.join(c if c.isprintable() else '?' for c in one.what)}")
    return text


def _after(seconds: float) -> str:
    return f"+{seconds:.3f} s" if abs(seconds) < _FINE else f"+{format_duration(seconds)}"
