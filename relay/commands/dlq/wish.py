"""What the options of a redrive ask for."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from relay.dlq.edit import Edit
from relay.dlq.filters import Filter


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What the options ask for; see the command's help."""

    meant: Filter
    snapshot: Path | None
    limit: int | None
    rate: float | None
    canary: int | None
    canary_through_queue: bool
    canary_deadline: float
    to: str | None
    straight: bool
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
        names = ("limit", "to", "straight", "rerun", "max_hops")
        mine = {name: getattr(self, name) for name in names}
        return {**filter_options(self.meant), **mine, "edit": self.edit_text}


def filter_options(meant: Filter) -> dict[str, Any]:
    """A filter as JSON values, without its times: `36h` is another moment at each start."""
    names = ("names", "codes", "ids", "sources")
    told: dict[str, Any] = {name: list(getattr(meant, name)) for name in names}
    pairs = [list(pair) for pair in meant.attributes]
    return {**told, "attributes": pairs, "where": meant.where}
