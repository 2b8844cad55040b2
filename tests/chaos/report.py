"""The report: a line per run, a table, and the summary for the JSON line."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from tests.chaos.findings import Findings

BROKEN = ("lost", "ran_twice", "unexplained")
_COLUMNS = ("what", "runs", "published", "ran", "dead", "repeats*", *BROKEN)


@dataclass(frozen=True)
class Row:
    """One run: its line in the table, its title and its findings.

    If not `guaranteed`, it is reported but does not count against the relay. `audits` were compared
    with its records.
    """

    group: str
    title: str
    findings: Findings
    seconds: float
    log: str = ""
    guaranteed: bool = True
    audits: int = 0

    def lines(self) -> Iterator[str]:
        """The lines to print for this run."""
        good = self.findings.clean or not self.guaranteed
        yield f"{'ok' if good else 'FAILED':6} {self.seconds:5.1f} s  {self.title}"
        if not good or self.log.startswith("stuck"):
            yield from (f"       {violation}" for violation in self.findings.violations())
            yield from (f"       | {line}" for line in self.log.splitlines())


def table(rows: Sequence[Row]) -> Iterator[str]:
    """The table, with the sums of each group."""
    yield ""
    yield _line(_COLUMNS)
    for group in dict.fromkeys(row.group for row in rows):
        of_group = [row.findings for row in rows if row.group == group]
        counts = [
            sum(getattr(v, n) for v in of_group) for n in ("published", "ran", "dead", "repeats")
        ]
        broken = [sum(len(getattr(v, n)) for v in of_group) for n in BROKEN]
        yield _line((group, len(of_group), *counts, *broken))
    yield ""
    yield " * of batched functions, which ignore ids: reported, not guaranteed"
    if not all(row.guaranteed for row in rows):
        yield "** what a server without an external Redis loses: reported, not guaranteed"


def summary(rows: Sequence[Row], seconds: float) -> dict[str, float]:
    """The number of runs, and the violations, which must be 0."""
    counted = [row.findings for row in rows if row.guaranteed]
    found: dict[str, float] = {"runs": len(counted)}
    found |= {name: sum(len(getattr(findings, name)) for findings in counted) for name in BROKEN}
    found["audits"] = sum(row.audits for row in rows)
    return {**found, "seconds": round(seconds, 1)}


def _line(cells: Sequence[object]) -> str:
    first, *others = cells
    return f"{first:<22}" + "".join(f"{cell:>12}" for cell in others)
