"""What a person reads after it all: a line for each run, one table, and one line for machines."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from tests.chaos.findings import Verdict

BROKEN = ("lost", "ran_twice", "unexplained")
_COLUMNS = ("what", "runs", "published", "ran", "dead", "repeats*", *BROKEN)


@dataclass(frozen=True)
class Row:
    """One run: the line of the table that it belongs to, what it was, and the verdict.

    One that is not `promised` is reported and not counted against the relay.
    """

    group: str
    title: str
    verdict: Verdict
    seconds: float
    log: str = ""
    promised: bool = True

    def lines(self) -> Iterator[str]:
        """The run in its own words."""
        good = self.verdict.clean or not self.promised
        yield f"{'ok' if good else 'FAILED':6} {self.seconds:5.1f} s  {self.title}"
        if not good or self.log.startswith("stuck"):
            yield from (f"       {complaint}" for complaint in self.verdict.complaints())
            yield from (f"       | {line}" for line in self.log.splitlines())


def table(rows: Sequence[Row]) -> Iterator[str]:
    """Sums for each group."""
    yield ""
    yield _line(_COLUMNS)
    for group in dict.fromkeys(row.group for row in rows):
        of_group = [row.verdict for row in rows if row.group == group]
        counts = [
            sum(getattr(v, n) for v in of_group) for n in ("published", "ran", "dead", "repeats")
        ]
        broken = [sum(len(getattr(v, n)) for v in of_group) for n in BROKEN]
        yield _line((group, len(of_group), *counts, *broken))
    yield ""
    yield " * of functions that take batches and ignore ids: reported, not promised"
    if not all(row.promised for row in rows):
        yield "** what a server without an external Redis forgets: reported, not promised"


def summary(rows: Sequence[Row], seconds: float) -> dict[str, float]:
    """The promise, in numbers that must be 0."""
    counted = [row.verdict for row in rows if row.promised]
    found: dict[str, float] = {"runs": len(counted)}
    found |= {name: sum(len(getattr(verdict, name)) for verdict in counted) for name in BROKEN}
    return {**found, "seconds": round(seconds, 1)}


def _line(cells: Sequence[object]) -> str:
    first, *others = cells
    return f"{first:<22}" + "".join(f"{cell:>12}" for cell in others)
