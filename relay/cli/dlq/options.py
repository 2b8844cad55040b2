"""Options that several of the commands share."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, TypeAlias

import typer

from relay.cli.startup import USAGE, fail
from relay.dlq.edit import Edit
from relay.dlq.filters import Filter, parse_time

Dlq: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--dlq",
        metavar="QUEUE",
        help="The dead-letter queue by URL, ARN or name; RELAY_DLQ_URL, or else the queue's own.",
    ),
]
Main: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--queue",
        metavar="QUEUE",
        help="The main queue, whose redrive policy names the other; RELAY_QUEUE_URL if not given.",
    ),
]
SnapshotFile: TypeAlias = Annotated[
    Path | None,
    typer.Argument(metavar="[SNAPSHOT]", help="A snapshot; without one the queue is pulled now."),
]
Wait: TypeAlias = Annotated[
    float,
    typer.Option(
        metavar="SECONDS",
        min=0,
        max=20,
        help="How long each poll waits. 0 asks only some of SQS's servers.",
    ),
]
Lease: TypeAlias = Annotated[
    float,
    typer.Option(
        metavar="SECONDS",
        min=10,
        max=43_000,
        help="How long messages are hidden at a time; extended while it works.",
    ),
]
Yes: TypeAlias = Annotated[
    bool, typer.Option("--yes/--dry-run", help="Do it; else only say what would happen.")
]
JournalDirectory: TypeAlias = Annotated[
    Path | None,
    typer.Option(
        "--journal",
        metavar="DIR",
        help="Directory of journal and backup; one that exists is taken up where it ended.",
    ),
]
AsJson: TypeAlias = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Names: TypeAlias = Annotated[
    list[str] | None,
    typer.Option("--name", metavar="PATTERN", help="Event name, as in 'shop/*'; repeatable."),
]
Codes: TypeAlias = Annotated[
    list[str] | None,
    typer.Option("--code", metavar="PATTERN", help="Reason code; repeatable."),
]
Ids: TypeAlias = Annotated[
    list[str] | None,
    typer.Option("--id", metavar="ID", help="MessageId, base id or event id; repeatable."),
]
Sources: TypeAlias = Annotated[
    list[str] | None,
    typer.Option("--source", metavar="PATTERN", help="Name of the source queue; repeatable."),
]
Since: TypeAlias = Annotated[
    str | None,
    typer.Option("--since", metavar="TIME", help="First sent then or later: a time in UTC, or 6h."),
]
Until: TypeAlias = Annotated[
    str | None,
    typer.Option("--until", metavar="TIME", help="First sent before that."),
]
Attributes: TypeAlias = Annotated[
    list[str] | None,
    typer.Option(
        "--attribute",
        metavar="NAME=PATTERN",
        help="Message attribute; all that are given must match.",
    ),
]
Where: TypeAlias = Annotated[
    str | None,
    typer.Option("--where", metavar="JMESPATH", help="A condition on the decoded event."),
]


def chosen(
    names: Sequence[str] | None,
    codes: Sequence[str] | None,
    ids: Sequence[str] | None,
    sources: Sequence[str] | None,
    since: str | None,
    until: str | None,
    attributes: Sequence[str] | None,
    where: str | None,
) -> Filter:
    """The filter that the options describe; what cannot be one ends the command."""
    now = time.time()
    try:
        return Filter(
            names=tuple(names or ()),
            codes=tuple(codes or ()),
            ids=tuple(ids or ()),
            sources=tuple(sources or ()),
            since=_moment("--since", since, now),
            until=_moment("--until", until, now),
            attributes=tuple(_pair(text) for text in attributes or ()),
            where=where,
        )
    except ValueError as error:
        fail(one_line(error), code=USAGE)


def one_line(error: ValueError) -> str:
    """Its text as one sentence; a JMESPath's error comes with a drawing."""
    return " ".join(str(error).split())


def _moment(option: str, text: str | None, now: float) -> float | None:
    try:
        return None if text is None else parse_time(text, now)
    except ValueError as error:
        raise ValueError(f"{option}: {error}") from error


def _pair(text: str) -> tuple[str, str]:
    name, equals, pattern = text.partition("=")
    if not name or not equals:
        raise ValueError("--attribute takes NAME=PATTERN")
    return name, pattern


@dataclass(frozen=True, slots=True, kw_only=True)
class RedriveOptions:
    """What the options ask for; see the command's help."""

    meant: Filter
    snapshot: Path | None
    limit: int | None
    rate: float | None
    canary: int | None
    canary_through_queue: bool
    canary_deadline: float
    to: str | None
    direct: bool
    edit_text: str | None
    edit: Edit | None
    rerun: bool
    max_hops: int
    wait: float
    lease: float
    as_json: bool

    @property
    def options(self) -> dict[str, Any]:
        """What must be the same when the run is taken up again, as JSON values."""
        names = ("limit", "to", "direct", "rerun", "max_hops")
        mine = {name: getattr(self, name) for name in names}
        return {**filter_options(self.meant), **mine, "edit": self.edit_text}


def filter_options(meant: Filter) -> dict[str, Any]:
    """A filter as JSON values, without its times: `36h` is another moment at each start."""
    names = ("names", "codes", "ids", "sources")
    told: dict[str, Any] = {name: list(getattr(meant, name)) for name in names}
    pairs = [list(pair) for pair in meant.attributes]
    return {**told, "attributes": pairs, "where": meant.where}
