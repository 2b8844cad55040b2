"""Totals since the start, for receivers that work out the differences themselves."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from relay.telemetry.table import Metric
from relay.telemetry.window import Window

BOUNDS: dict[str, Sequence[float]] = {
    "Seconds": (
        *(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300),
        *(600, 1_800, 3_600, 21_600, 86_400, 604_800),
    ),
    "Count": (1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000, 5_000),
}
"""Upper bounds of the buckets that a histogram of this unit is told in."""


@dataclass(frozen=True, slots=True)
class Distribution:
    """A histogram in fixed buckets: `counts` has one more than `bounds`, for what is above."""

    bounds: Sequence[float]
    counts: Sequence[int]
    sum: float

    @property
    def count(self) -> int:
        """How many values there were."""
        return sum(self.counts)


def distribution(metric: Metric, window: Window) -> Distribution:
    """The metric's values in the buckets of its unit."""
    bounds = BOUNDS[metric.unit]
    counts = Counter[int]()
    total = 0.0
    for value, count in window.histograms[metric.name].items():
        counts[bisect_left(bounds, value)] += count
        total += value * count
    return Distribution(bounds, [counts[i] for i in range(len(bounds) + 1)], total)
