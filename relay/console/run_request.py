"""What an operator asks for on a form: a redrive, a drop or a restore, and how."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeAlias, get_args

from relay.console.access import Form, Refused
from relay.dlq.command_line import command_line
from relay.dlq.edit import load_edit
from relay.dlq.filters import Filter

Command: TypeAlias = Literal["redrive", "drop", "restore"]

MAX_CANARY = 1_000
MAX_RATE = 100_000.0

SHOWN_IDS = 10
"""Ids that a command line shows. With more it would fill the page."""

SHOWN = 3
"""Values of a filter that a summary shows."""

_LISTS = ("names", "codes", "ids", "sources")


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRequest:
    """What to do and how.

    Attributes:
        command: what to do.
        snapshot: which messages: a snapshot, or for a restore a backup.
        filters: which of them.
        matching: MessageIds of what the filters match in the snapshot, where an index knows it.
        canary: of a redrive: how many to deliver first; None for no canary.
        rate: the most messages sent a second; None for no limit.
        limit: the most messages to redrive; None for all.
        edit: a JMESPath expression that changes each event.
        rerun: whether events get new ids.
        include_failing: whether what would be rejected again is sent too.
    """

    command: Command
    snapshot: Path
    filters: Filter = field(default_factory=Filter)
    canary: int | None = None
    rate: float | None = None
    limit: int | None = None
    edit: str | None = None
    rerun: bool = False
    include_failing: bool = False
    matching: frozenset[str] | None = field(default=None, repr=False)

    def as_json(self) -> dict[str, Any]:
        """Everything as JSON values, for the journal."""
        names = ("canary", "rate", "limit", "edit", "rerun", "include_failing")
        return {
            "command": self.command,
            "snapshot": str(self.snapshot),
            "filters": {name: list(getattr(self.filters, name)) for name in _LISTS},
            **{name: getattr(self, name) for name in names},
        }

    def command_line(self, queue: str | None = None, journal: Path | None = None) -> str:
        """The command that does the same, or without a journal the one that shows the plan."""
        if len(self.filters.ids) > SHOWN_IDS:
            return f"{self._line(self._short(), queue, journal)} --id …"
        return self._line(self.filters, queue, journal)

    def _short(self) -> Filter:
        return Filter(ids=self.filters.ids[:SHOWN_IDS])

    def _line(self, filters: Filter, queue: str | None, journal: Path | None) -> str:
        restore = self.command == "restore"
        options: dict[str, Any] = {} if restore else {"snapshot": self.snapshot}
        options |= {
            "canary": self.canary,
            "rate": None if self.rate is None else f"{self.rate:g}",
            "limit": self.limit,
            "edit": self.edit,
            "rerun": self.rerun,
            "include-failing": self.include_failing,
        }
        if journal is not None:
            options |= {"confirm": queue} if self.command == "drop" else {"yes": True}
            options["journal"] = journal
        arguments = (str(self.snapshot),) if restore else ()
        return command_line(self.command, filters, options, arguments)


def request_from_json(fields: Mapping[str, Any]) -> RunRequest | None:
    """The request that a journal has; None if it is none."""
    try:
        filters: dict[str, Any] = {
            name: tuple(map(str, fields["filters"].get(name, ()))) for name in _LISTS
        }
        if fields["command"] not in get_args(Command):
            return None
        return RunRequest(
            command=fields["command"],
            snapshot=Path(fields["snapshot"]),
            filters=Filter(**filters),
            canary=_optional(fields["canary"], int),
            rate=_optional(fields["rate"], float),
            limit=_optional(fields["limit"], int),
            edit=_optional(fields["edit"], str),
            rerun=bool(fields["rerun"]),
            include_failing=bool(fields["include_failing"]),
        )
    except (KeyError, TypeError, ValueError, AttributeError):
        return None


def _optional(value: Any, kind: type[Any]) -> Any:
    return None if value is None else kind(value)


def options_of(form: Form) -> dict[str, Any]:
    """The options of a redrive in a form.

    Raises:
        Refused: one of them makes no sense.
    """
    return {
        "canary": _number(form, "canary", "the canary", int, 1, MAX_CANARY),
        "rate": _number(form, "rate", "the rate", float, 0.01, MAX_RATE),
        "limit": _number(form, "limit", "the limit", int, 1, 10_000_000),
        "edit": _edit(_last(form.get("edit", ()))),
        "rerun": bool(form.get("rerun")),
        "include_failing": bool(form.get("include_failing")),
    }


def _number(
    form: Form, name: str, what: str, kind: type[Any], least: float, most: float
) -> float | None:
    text = _last(form.get(name, ()))
    if not text:
        return None
    try:
        value = kind(text)
    except ValueError:
        value = None
    if value is None or not least <= value <= most:
        whole = "whole number" if kind is int else "number"
        sentence = f"{what} must be a {whole} from {least:g} to {most:,.0f}, or empty"
        raise Refused(422, "invalid_option", sentence)
    return float(value) if kind is float else int(value)


def _edit(text: str) -> str | None:
    if not text:
        return None
    if text.endswith(".py"):
        raise Refused(
            422,
            "edit_is_a_file",
            "the console runs no files: write a JMESPath expression, or use"
            " `relay dlq redrive --edit FILE.py`",
        )
    try:
        load_edit(text)
    except ValueError as error:
        raise Refused(
            422, "invalid_edit", f"the edit is no JMESPath expression: {error}"
        ) from error
    return text


def _last(values: Sequence[str]) -> str:
    return values[-1].strip() if values else ""


def words_of(request: RunRequest) -> Iterator[tuple[str, str]]:
    """The options that were given, as pairs of a label and a text."""
    filters = request.filters
    for label, values in (
        ("Event", filters.names),
        ("Code", filters.codes),
        ("Source", filters.sources),
        ("Ids", filters.ids),
    ):
        if values:
            more = f" and {len(values) - SHOWN:,} more" if len(values) > SHOWN else ""
            yield label, ", ".join(values[:SHOWN]) + more
    pairs = (
        ("Canary", request.canary),
        ("Rate", None if request.rate is None else f"{request.rate:g} a second"),
        ("At most", request.limit),
        ("Edit", request.edit),
    )
    yield from ((label, str(value)) for label, value in pairs if value is not None)
    if request.rerun:
        yield "Ids of events", "new ones, so that they run again"
    if request.include_failing:
        yield "Also sent", "what would be dead-lettered again"
