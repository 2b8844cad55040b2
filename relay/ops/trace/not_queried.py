"""A destination that is not queried: a gap of each trace, with the ids to look for there."""

from __future__ import annotations

from collections.abc import Callable

from relay.ops.trace.timeline import KnownIds, SourceResult


class NotQueried:
    """A destination without a source of its own.

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
