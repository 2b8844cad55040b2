"""Filters: which letters a command is about."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from fnmatch import fnmatchcase
from typing import Any

from jmespath.exceptions import JMESPathError  # type: ignore[import-untyped]  # ships no types

from relay.dlq.claims import claimed_id, claimed_name
from relay.dlq.dead_letter import DeadLetter
from relay.envelope.ids import compile_path
from relay.model.event import Event

_AGO = re.compile(r"(\d+(?:\.\d+)?)([smhdw])")
_SECONDS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400, "w": 604_800}
_STEPS = ((86_400, "d"), (3_600, "h"), (60, "min"))


def parse_time(text: str, now: float) -> float:
    """Epoch seconds of `2026-05-04T10:00` (UTC unless it names a zone) or of `36h`, which is ago.

    Longer ago than 1970 is 1970: calendars end before what people can type does.

    Raises:
        ValueError: it is neither.
    """
    ago = _AGO.fullmatch(text.strip())
    if ago:
        return max(0.0, now - float(ago[1]) * _SECONDS[ago[2]])
    try:
        found = datetime.fromisoformat(text.strip())
    except ValueError as error:
        raise ValueError(
            f"{text!r} is neither a time like 2026-05-04T10:00 nor like 36h"
        ) from error
    return found.replace(tzinfo=found.tzinfo or UTC).timestamp()


def format_time(at: float | None) -> str:
    """A moment for people, in UTC."""
    if at is None:
        return "-"
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M:%SZ")


def format_duration(seconds: float) -> str:
    """A duration for people: `3.2 d`, `41 min`, `12 s`."""
    for size, unit in _STEPS:
        if abs(seconds) >= size:
            return f"{seconds / size:.1f} {unit}".replace(".0 ", " ")
    return f"{seconds:.0f} s"


def format_hour(at: float | None) -> str:
    """The hour that a moment is in."""
    return "-" if at is None else datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %Hh")


@dataclass(frozen=True, slots=True, kw_only=True)
class Filter:
    """A letter is meant when it passes every field that is given; of several values one suffices.

    What the relay would reject again is judged by what it claims to be.

    Attributes:
        names: patterns (`shop/*`) for the name of a pending event.
        codes: patterns for the reason code.
        ids: a MessageId, a base id or the id of a pending event.
        sources: patterns for the name of the queue that it was taken from.
        since: epoch seconds; first sent then or later.
        until: the same; first sent before that.
        attributes: pairs of a message attribute's name and a pattern for its text.
        where: JMESPath over a pending event; true for one of them.
    """

    names: tuple[str, ...] = ()
    codes: tuple[str, ...] = ()
    ids: tuple[str, ...] = ()
    sources: tuple[str, ...] = ()
    since: float | None = None
    until: float | None = None
    attributes: tuple[tuple[str, str], ...] = ()
    where: str | None = None
    _ids: frozenset[str] = field(init=False, repr=False, compare=False, default=frozenset())

    def __post_init__(self) -> None:
        """Refuse a path that is none.

        Raises:
            ValueError: it is no JMESPath.
        """
        if self.where is not None:
            compile_path(self.where)
        object.__setattr__(self, "_ids", frozenset(self.ids))

    @property
    def empty(self) -> bool:
        """Whether every letter passes."""
        return self == Filter()

    def matches(self, letter: DeadLetter) -> bool:
        """Whether the letter is meant."""
        return (
            (not self.codes or _any(self.codes, letter.code))
            and (not self.sources or _any(self.sources, letter.source or ""))
            and (not self.names or any(_any(self.names, name) for name in _names_of(letter)))
            and (not self.ids or not self._ids.isdisjoint(_ids_of(letter)))
            and self._in_time(letter.first_sent_at)
            and all(_has(letter, name, pattern) for name, pattern in self.attributes)
            and (self.where is None or any(_true(self.where, e) for e in _contents(letter)))
        )

    def _in_time(self, at: float | None) -> bool:
        if self.since is None and self.until is None:
            return True
        return (
            at is not None
            and (self.since is None or at >= self.since)
            and (self.until is None or at < self.until)
        )


def event_fields(event: Event) -> dict[str, Any]:
    """The event as JSON values, for a person and for paths to search."""
    fields: dict[str, Any] = {"id": event.id, "name": event.name, "index": event.index}
    for name, raw in (("data", event.data), ("user", event.user)):
        if raw is not None:
            fields[name] = json.loads(raw)
    optional = {"ts": event.ts, "v": event.v}
    return fields | {name: value for name, value in optional.items() if value is not None}


def _any(patterns: Sequence[str], text: str) -> bool:
    return any(fnmatchcase(text, pattern) for pattern in patterns)


def _names_of(letter: DeadLetter) -> Iterator[str]:
    yield from (event.name for event in letter.events)
    yield from (name for claim in letter.claims if (name := claimed_name(claim)))


def _ids_of(letter: DeadLetter) -> set[str]:
    claimed = (own for claim in letter.claims if (own := claimed_id(claim)))
    events = (event.id for event in letter.events)
    return {letter.message.message_id, letter.base_id, *events, *claimed}


def _contents(letter: DeadLetter) -> Iterator[Mapping[str, Any]]:
    yield from map(event_fields, letter.events)
    yield from letter.claims


def _has(letter: DeadLetter, name: str, pattern: str) -> bool:
    found = letter.message.attribute(name)
    return found is not None and isinstance(found.value, str) and fnmatchcase(found.value, pattern)


def _true(path: str, content: Mapping[str, Any]) -> bool:
    """Whether the path leads to something that JMESPath calls true."""
    try:
        value = compile_path(path).search(content)
    # Its functions meet whatever types a producer sent: what they cannot judge does not match.
    except (JMESPathError, ArithmeticError, AttributeError, LookupError, TypeError, ValueError):
        return False
    # JMESPath calls every number true, 0 too.
    return bool(value) or (isinstance(value, int | float) and not isinstance(value, bool))
