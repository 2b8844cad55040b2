"""Filters: which dead letters a command applies to; and times as operators write them."""

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

_AGE = re.compile(r"(\d+(?:\.\d+)?)([smhdw])")
_SECONDS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400, "w": 604_800}


def parse_time(text: str, now: float) -> float:
    """Epoch seconds of `2026-05-04T10:00` (UTC unless it names a zone) or of `36h`, an age.

    An age that goes back before 1970 means 1970: people can type longer ages than calendars hold.

    Raises:
        ValueError: it is neither.
    """
    age = _AGE.fullmatch(text.strip())
    if age:
        return max(0.0, now - float(age[1]) * _SECONDS[age[2]])
    try:
        found = datetime.fromisoformat(text.strip())
    except ValueError as error:
        raise ValueError(
            f"{text!r} is neither a time like 2026-05-04T10:00 nor like 36h"
        ) from error
    return found.replace(tzinfo=found.tzinfo or UTC).timestamp()


@dataclass(frozen=True, slots=True, kw_only=True)
class Filter:
    """A dead letter matches if every given field matches; of several values one is enough.

    What the relay would reject again is matched by the name and id that it claims.

    Attributes:
        names: patterns (`shop/*`) for the name of a pending event.
        codes: patterns for the reason code.
        ids: a MessageId, a base id or the id of a pending event.
        sources: patterns for the name of the queue that it came from.
        since: epoch seconds; first sent at that time or later.
        until: epoch seconds; first sent before that time.
        attributes: pairs of a message attribute's name and a pattern for its text.
        where: JMESPath expression on a pending event; true for at least one of them.
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
        """Check the JMESPath expression.

        Raises:
            ValueError: it is not one.
        """
        if self.where is not None:
            compile_path(self.where)
        object.__setattr__(self, "_ids", frozenset(self.ids))

    @property
    def empty(self) -> bool:
        """Whether no field is given, so that every dead letter matches."""
        return self == Filter()

    def matches(self, dead_letter: DeadLetter) -> bool:
        """Whether the dead letter matches."""
        return (
            (not self.codes or _matches_any(self.codes, dead_letter.code))
            and (not self.sources or _matches_any(self.sources, dead_letter.source or ""))
            and (
                not self.names
                or any(_matches_any(self.names, name) for name in names_of(dead_letter))
            )
            and (not self.ids or not self._ids.isdisjoint(ids_of(dead_letter)))
            and self._in_time(dead_letter.first_sent_at)
            and all(_has(dead_letter, name, pattern) for name, pattern in self.attributes)
            and (self.where is None or any(_true(self.where, e) for e in _contents(dead_letter)))
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
    """The event as JSON values, to show and to evaluate JMESPath expressions on."""
    fields: dict[str, Any] = {"id": event.id, "name": event.name, "index": event.index}
    for name, raw in (("data", event.data), ("user", event.user), ("meta", event.meta)):
        if raw is not None:
            fields[name] = json.loads(bytes(raw))
    optional = {"ts": event.ts, "v": event.v}
    return fields | {name: value for name, value in optional.items() if value is not None}


def _matches_any(patterns: Sequence[str], text: str) -> bool:
    return any(fnmatchcase(text, pattern) for pattern in patterns)


def names_of(dead_letter: DeadLetter) -> Iterator[str]:
    """The names of its pending events, and those that rejected objects claim."""
    yield from (event.name for event in dead_letter.events)
    yield from (name for claim in dead_letter.claims if (name := claimed_name(claim)))


def ids_of(dead_letter: DeadLetter) -> set[str]:
    """Its MessageId, its base id, those of its events, and those that rejected objects claim."""
    claimed = (own for claim in dead_letter.claims if (own := claimed_id(claim)))
    events = (event.id for event in dead_letter.events)
    return {dead_letter.message.message_id, dead_letter.base_id, *events, *claimed}


def _contents(dead_letter: DeadLetter) -> Iterator[Mapping[str, Any]]:
    yield from map(event_fields, dead_letter.events)
    yield from dead_letter.claims


def _has(dead_letter: DeadLetter, name: str, pattern: str) -> bool:
    found = dead_letter.message.attribute(name)
    return found is not None and isinstance(found.value, str) and fnmatchcase(found.value, pattern)


def _true(path: str, content: Mapping[str, Any]) -> bool:
    """Whether the expression gives something that JMESPath calls true."""
    try:
        value = compile_path(path).search(content)
    # Its functions get whatever types a producer sent; what they cannot handle does not match.
    except (JMESPathError, ArithmeticError, AttributeError, LookupError, TypeError, ValueError):
        return False
    # JMESPath calls every number true, 0 included.
    return bool(value) or (isinstance(value, int | float) and not isinstance(value, bool))
