"""Options that several `relay dlq` commands share."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, TypeAlias

import typer

from relay.cli.dlq.queues import warn
from relay.cli.startup import USAGE, fail
from relay.dlq.filters import Filter, parse_time
from relay.dlq.jmespath_hints import meant
from relay.envelope.ids import compile_path

Dlq: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--dlq",
        metavar="QUEUE",
        help="The dead-letter queue: URL, ARN or name. Default: RELAY_DLQ_URL, else --queue's.",
    ),
]
Main: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--queue",
        metavar="QUEUE",
        help="The main queue, whose redrive policy names the dead-letter queue. Default:"
        " RELAY_QUEUE_URL.",
    ),
]
SnapshotFile: TypeAlias = Annotated[
    Path | None,
    typer.Argument(metavar="SNAPSHOT", help="A snapshot. Without one, the queue is pulled first."),
]
Wait: TypeAlias = Annotated[
    float,
    typer.Option(
        metavar="SECONDS",
        min=0,
        max=20,
        help="How long each receive waits. 0 queries only some of SQS's servers.",
    ),
]
Lease: TypeAlias = Annotated[
    float,
    typer.Option(
        metavar="SECONDS",
        min=10,
        max=43_000,
        help="How long received messages are hidden; extended while the command works.",
    ),
]
Yes: TypeAlias = Annotated[
    bool, typer.Option("--yes/--dry-run", help="Do it. Default: only say what would happen.")
]
JournalDirectory: TypeAlias = Annotated[
    Path | None,
    typer.Option(
        "--journal",
        metavar="DIR",
        help="Directory for the journal and the backup; with an existing one its run is resumed."
        " Default: a new one in the current directory.",
    ),
]
AsJson: TypeAlias = Annotated[bool, typer.Option("--json", help="Print JSON.")]
FILTERS = "Filters"
"""The part of the help that has the filters."""

Names: TypeAlias = Annotated[
    list[str] | None,
    typer.Option(
        "--name",
        metavar="PATTERN",
        rich_help_panel=FILTERS,
        help="Event name, such as 'shop/*'; repeatable.",
    ),
]
Codes: TypeAlias = Annotated[
    list[str] | None,
    typer.Option(
        "--code", metavar="PATTERN", rich_help_panel=FILTERS, help="Reason code; repeatable."
    ),
]
Ids: TypeAlias = Annotated[
    list[str] | None,
    typer.Option(
        "--id",
        metavar="ID",
        rich_help_panel=FILTERS,
        help="MessageId, base id or event id; repeatable.",
    ),
]
Sources: TypeAlias = Annotated[
    list[str] | None,
    typer.Option(
        "--source",
        metavar="PATTERN",
        rich_help_panel=FILTERS,
        help="Name of the source queue; repeatable.",
    ),
]
Since: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--since",
        rich_help_panel=FILTERS,
        metavar="TIME",
        help="First sent at that time or later: a time in UTC, or an age such as 6h.",
    ),
]
Until: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--until", metavar="TIME", rich_help_panel=FILTERS, help="First sent before that time."
    ),
]
Attributes: TypeAlias = Annotated[
    list[str] | None,
    typer.Option(
        "--attribute",
        rich_help_panel=FILTERS,
        metavar="NAME=PATTERN",
        help="Message attribute; repeatable, and all of them must match.",
    ),
]
Where: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--where",
        rich_help_panel=FILTERS,
        metavar="JMESPATH",
        help="A condition on a decoded event, such as ``data.total > `100` ``.",
    ),
]


def build_filter(
    names: Sequence[str] | None,
    codes: Sequence[str] | None,
    ids: Sequence[str] | None,
    sources: Sequence[str] | None,
    since: str | None,
    until: str | None,
    attributes: Sequence[str] | None,
    where: str | None,
) -> Filter:
    """The filter that the options describe. An invalid one ends the command."""
    now = time.time()
    _check_where(where)
    try:
        return Filter(
            names=tuple(names or ()),
            codes=tuple(codes or ()),
            ids=tuple(ids or ()),
            sources=tuple(sources or ()),
            since=_time("--since", since, now),
            until=_time("--until", until, now),
            attributes=tuple(_pair(text) for text in attributes or ()),
            where=where,
        )
    except ValueError as error:
        fail(one_line(error), code=USAGE)


def _check_where(where: str | None) -> None:
    """Say which JMESPath is meant: some mistakes are no JMESPath, others one that never matches."""
    correction = None if where is None else meant(where)
    if where is None or correction is None:
        return
    try:
        compile_path(where)
    except ValueError as error:
        fail(f"--where: {one_line(error)}; did you mean: {correction}", code=USAGE)
    warn(f"--where: {where} is JMESPath, but probably not what you mean: {correction}")


def one_line(error: ValueError) -> str:
    """Its text on one line; that of a JMESPath error marks the position on a second line."""
    return " ".join(str(error).split())


def _time(option: str, text: str | None, now: float) -> float | None:
    try:
        return None if text is None else parse_time(text, now)
    except ValueError as error:
        raise ValueError(f"{option}: {error}") from error


def _pair(text: str) -> tuple[str, str]:
    name, equals, pattern = text.partition("=")
    if not name or not equals:
        raise ValueError("--attribute takes NAME=PATTERN")
    return name, pattern
