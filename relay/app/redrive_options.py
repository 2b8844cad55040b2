"""What to redrive and how, and the options that a resumed redrive or restore must repeat."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from relay.dlq.edit import Edit
from relay.dlq.execution import Pace
from relay.dlq.filters import Filter
from relay.dlq.selection import MAX_HOPS


@dataclass(frozen=True, slots=True, kw_only=True)
class RedriveOptions:
    """What to redrive and how; see `relay dlq redrive --help` for each.

    `matching` has the MessageIds of what the filters match in the snapshot, where that is known.
    """

    filters: Filter = field(default_factory=Filter)
    snapshot: Path | None = None
    matching: frozenset[str] | None = None
    limit: int | None = None
    canary: int | None = None
    canary_through_queue: bool = False
    canary_deadline: float = 120.0
    to: str | None = None
    direct: bool = False
    edit_text: str | None = None
    edit: Edit | None = None
    rerun: bool = False
    max_hops: int = MAX_HOPS
    include_failing: bool = False
    pace: Pace = field(default_factory=Pace)

    @property
    def resume_options(self) -> dict[str, Any]:
        """The options that must be the same when the run is resumed, as JSON values."""
        names = ("limit", "to", "direct", "rerun", "max_hops", "include_failing")
        mine = {name: getattr(self, name) for name in names}
        return {**filter_options(self.filters), **mine, "edit": self.edit_text}


def filter_options(filters: Filter) -> dict[str, Any]:
    """A filter as JSON values, without its times: `36h` means another time at each start."""
    names = ("names", "codes", "ids", "sources")
    lists: dict[str, Any] = {name: list(getattr(filters, name)) for name in names}
    pairs = [list(pair) for pair in filters.attributes]
    return {**lists, "attributes": pairs, "where": filters.where}


def restore_options(filters: Filter, snapshot: Path, to: str | None) -> dict[str, Any]:
    """The options of a restore that must be the same when it is resumed, as JSON values."""
    return {**filter_options(filters), "snapshot": str(snapshot), "to": to}
