"""Build the trace of one event: query the sources and order what they found by time."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Protocol

ROUNDS = 4
"""An id found in one source can lead to another: a log line to a reference, that to a run."""


@dataclass(frozen=True, kw_only=True)
class TimelineEntry:
    """Something that happened, or will happen.

    Attributes:
        at: epoch seconds, None if the time was not recorded.
        source: the source that recorded it.
        what: a description for people.
        details: the same as fields.
    """

    at: float | None
    source: str
    what: str
    details: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class SourceResult:
    """What a source found; `gap` says what it may have missed, None if it searched everything."""

    entries: tuple[TimelineEntry, ...] = ()
    gap: str | None = None


class SourceUnavailable(Exception):
    """A source could not be read. The text is a message for the user."""


@dataclass
class KnownIds:
    """The ids of the traced event that are known so far. Sources add the ones they find.

    Attributes:
        query: the id given by the user: an event's id, a MessageId or the producer's own id.
        events: name and id of each matching event.
        messages: the SQS MessageIds of the messages that contained them.
        references: the orchestrator's own ids of them.
        environments: Inngest environments that its producers asked for.
    """

    query: str
    events: set[tuple[str, str]] = field(default_factory=set)
    messages: set[str] = field(default_factory=set)
    references: set[str] = field(default_factory=set)
    environments: set[str] = field(default_factory=set)

    @cached_property
    def _pattern(self) -> re.Pattern[str]:
        # A producer's id is prefixed with its queue's name; an event of an array and a `--rerun`
        # append to the base id (see `relay.envelope.ids`).
        return re.compile(rf"(?:.*:)?{re.escape(self.query)}(?:\.\d+)?(?:\.r\d+)?", re.DOTALL)

    def matches(self, ident: str) -> bool:
        """Whether this id is the queried one or derived from it."""
        return self._pattern.fullmatch(ident) is not None

    def has_event(self, ident: str) -> bool:
        """Whether the event with this id belongs to the trace."""
        return self.matches(ident) or any(ident == known for _, known in self.events)

    def has_message(self, message_id: str) -> bool:
        """Whether the message with this id belongs to the trace."""
        return message_id in self.messages or self.matches(message_id)

    @property
    def size(self) -> int:
        """The number of known ids. It never decreases."""
        others = len(self.messages) + len(self.references) + len(self.environments)
        return len(self.events) + others

    def search_terms(self) -> set[str]:
        """Every id that can occur in a log line."""
        return {self.query, *self.messages, *(ident for _, ident in self.events)}


class Source(Protocol):
    """A place where records of the event may be found."""

    @property
    def name(self) -> str:
        """The name of the source in the output."""
        ...

    async def find(self, known: KnownIds) -> SourceResult:
        """Find everything about the known ids, and add the ids found to them.

        Raises:
            SourceUnavailable: the source cannot be read.
        """
        ...


class NotQueried:
    """A destination without a source of its own: a gap of the trace, with the ids to look for.

    Args:
        name: the destination's name.
        id_there: what it knows the event of a name and an id by; None if nothing is known.
    """

    def __init__(self, name: str, id_there: Callable[[str, str], str | None]) -> None:
        self.name = name
        self._id_there = id_there

    async def find(self, known: KnownIds) -> SourceResult:
        """Nothing; the gap says where to look."""
        ids = (self._id_there(name, ident) for name, ident in sorted(known.events))
        found = [ident for ident in ids if ident is not None]
        where = f": look there for {', '.join(found)}" if found else ""
        return SourceResult(gap=f"this command does not query it{where}")


@dataclass(frozen=True, slots=True)
class Trace:
    """The entries in order of time, and the sources with gaps, each with the reason."""

    known: KnownIds
    entries: tuple[TimelineEntry, ...]
    gaps: tuple[tuple[str, str], ...]

    def as_json(self) -> dict[str, Any]:
        """The trace as JSON."""
        return {
            "type": "trace",
            "id": self.known.query,
            "events": [{"id": i, "name": n} for n, i in sorted(self.known.events)],
            "messages": sorted(self.known.messages),
            "references": sorted(self.known.references),
            "timeline": [
                {"at": e.at, "source": e.source, "what": e.what, **e.details} for e in self.entries
            ],
            "gaps": [{"source": source, "reason": reason} for source, reason in self.gaps],
        }


async def build_trace(known: KnownIds, sources: Sequence[Source]) -> Trace:
    """Query each source until no more ids are found, for at most `ROUNDS` rounds."""
    found: dict[str, SourceResult] = {}
    size_when_queried: dict[str, int] = {}
    for _ in range(ROUNDS):
        due = [source for source in sources if size_when_queried.get(source.name) != known.size]
        if not due:
            break
        for source in due:
            size_when_queried[source.name] = known.size
            found[source.name] = await _find(source, known)
    entries = sorted((entry for one in found.values() for entry in one.entries), key=_order)
    gaps = tuple((name, one.gap) for name, one in found.items() if one.gap is not None)
    return Trace(known, tuple(entries), gaps)


async def _find(source: Source, known: KnownIds) -> SourceResult:
    try:
        return await source.find(known)
    except SourceUnavailable as error:
        return SourceResult(gap=str(error))


def _order(entry: TimelineEntry) -> tuple[bool, float]:
    return entry.at is None, entry.at or 0.0
