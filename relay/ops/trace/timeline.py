"""What is known about an event while its story is put together, and what a source adds to it."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Protocol


@dataclass(frozen=True, kw_only=True)
class TimelineEntry:
    """Something that happened, or will: `at` is in epoch seconds, None where nobody noted when.

    `source` is who says so, `what` a phrase for people, `details` the same for machines.
    """

    at: float | None
    source: str
    what: str
    details: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class SourceResult:
    """What a source told; `gap` says what it may have missed, None where it looked everywhere."""

    moments: tuple[TimelineEntry, ...] = ()
    gap: str | None = None


class SourceUnavailable(Exception):
    """A source could not be asked. The text is a sentence for a person."""


@dataclass
class KnownIds:
    """The names of what is traced. Sources add to them what they find out.

    Attributes:
        asked: what the person typed: an event's id, a message's id or the producer's.
        events: name and id of each event that is meant.
        messages: the SQS MessageIds under which they travelled.
        references: the orchestrator's own ids of them.
    """

    asked: str
    events: set[tuple[str, str]] = field(default_factory=set)
    messages: set[str] = field(default_factory=set)
    references: set[str] = field(default_factory=set)

    @cached_property
    def _pattern(self) -> re.Pattern[str]:
        # A configured id is prefixed by its queue; an event of an array and a deliberate new run
        # add to the base id (see `relay.envelope.ids`).
        return re.compile(rf"(?:.*:)?{re.escape(self.asked)}(?:\.\d+)?(?:\.r\d+)?", re.DOTALL)

    def means(self, ident: str) -> bool:
        """Whether this id is the one that was asked for, or made from it."""
        return self._pattern.fullmatch(ident) is not None

    def has_event(self, ident: str) -> bool:
        """Whether the event of this id belongs to the story."""
        return self.means(ident) or any(ident == known for _, known in self.events)

    def has_message(self, message_id: str) -> bool:
        """Whether the message of this id belongs to the story."""
        return message_id in self.messages or self.means(message_id)

    @property
    def size(self) -> int:
        """How much is known; it only grows."""
        return len(self.events) + len(self.messages) + len(self.references)

    def words(self) -> set[str]:
        """Every id, for who searches a text."""
        return {self.asked, *self.messages, *(ident for _, ident in self.events)}


class Source(Protocol):
    """Who may know a part of the story."""

    @property
    def name(self) -> str:
        """What it is called in the story."""
        ...

    async def find(self, known: KnownIds) -> SourceResult:
        """Everything it knows about what is known so far; adds the names that it comes across.

        Raises:
            Unreached: it could not be asked.
        """
        ...


ROUNDS = 4
"""One source's names lead to another's: a log line to a reference, that to a run."""


@dataclass(frozen=True, slots=True)
class Trace:
    """The moments in order, and what could not be reached or not wholly looked through."""

    known: KnownIds
    moments: tuple[TimelineEntry, ...]
    gaps: tuple[tuple[str, str], ...]

    def as_json(self) -> dict[str, Any]:
        """The story for machines."""
        return {
            "asked": self.known.asked,
            "events": [{"id": i, "name": n} for n, i in sorted(self.known.events)],
            "messages": sorted(self.known.messages),
            "references": sorted(self.known.references),
            "timeline": [
                {"at": m.at, "source": m.source, "what": m.what, **m.details} for m in self.moments
            ],
            "gaps": [{"source": source, "reason": reason} for source, reason in self.gaps],
        }


async def build_trace(known: KnownIds, sources: Sequence[Source]) -> Trace:
    """The story of what is asked for, as far as these sources know it."""
    found: dict[str, SourceResult] = {}
    asked_with: dict[str, int] = {}
    for _ in range(ROUNDS):
        due = [source for source in sources if asked_with.get(source.name) != known.size]
        if not due:
            break
        for source in due:
            asked_with[source.name] = known.size
            found[source.name] = await _ask(source, known)
    moments = sorted((m for one in found.values() for m in one.moments), key=_order)
    gaps = tuple((name, one.gap) for name, one in found.items() if one.gap is not None)
    return Trace(known, tuple(moments), gaps)


async def _ask(source: Source, known: KnownIds) -> SourceResult:
    try:
        return await source.find(known)
    except SourceUnavailable as error:
        return SourceResult(gap=str(error))


def _order(moment: TimelineEntry) -> tuple[bool, float]:
    return moment.at is None, moment.at or 0.0
