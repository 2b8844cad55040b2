"""Telling: ask every source until none knows a further name, then put all in order."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from relay.story.known import Found, Known, Moment, Source, Unreached

ROUNDS = 4
"""One source's names lead to another's: a log line to a reference, that to a run."""


@dataclass(frozen=True, slots=True)
class Story:
    """The moments in order, and what could not be reached or not wholly looked through."""

    known: Known
    moments: tuple[Moment, ...]
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


async def tell(known: Known, sources: Sequence[Source]) -> Story:
    """The story of what is asked for, as far as these sources know it."""
    found: dict[str, Found] = {}
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
    return Story(known, tuple(moments), gaps)


async def _ask(source: Source, known: Known) -> Found:
    try:
        return await source.find(known)
    except Unreached as error:
        return Found(gap=str(error))


def _order(moment: Moment) -> tuple[bool, float]:
    return moment.at is None, moment.at or 0.0
