"""A window: what was counted between two looks, in memory that does not grow with the traffic."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field

LARGEST = 1e9
"""Larger values count as this one: with two digits kept, a histogram has at most 1,500 buckets."""

SMALLEST = 1e-6


def rounded(value: float) -> float:
    """The value with two significant digits: at most 5 % away, exact for whole numbers up to 99."""
    if value < SMALLEST:
        return 0.0
    return float(f"{min(value, LARGEST):.1e}")


@dataclass(slots=True)
class Window:
    """Counters by metric and label, and histograms by metric as a count for each rounded value."""

    counters: Counter[tuple[str, str]] = field(default_factory=Counter)
    histograms: defaultdict[str, Counter[float]] = field(
        default_factory=lambda: defaultdict(Counter)
    )

    def add(self, other: Window) -> None:
        """Count in what another window has counted."""
        self.counters.update(other.counters)
        for name, counts in other.histograms.items():
            self.histograms[name].update(counts)

    def clear(self) -> None:
        """Forget everything."""
        self.counters.clear()
        self.histograms.clear()

    def total(self, name: str) -> int:
        """The counter's sum over all labels."""
        return sum(count for (metric, _), count in self.counters.items() if metric == name)

    def by_label(self, name: str) -> dict[str, int]:
        """The counter's sum for each of its labels."""
        return {
            label: count
            for (metric, label), count in sorted(self.counters.items())
            if metric == name and label
        }


def buckets(counts: Counter[float], most: int) -> Iterable[tuple[list[float], list[int]]]:
    """The histogram's values and their counts, in parts of at most `most` values."""
    ordered = sorted(counts.items())
    for start in range(0, len(ordered), most):
        part = ordered[start : start + most]
        yield [value for value, _ in part], [count for _, count in part]
