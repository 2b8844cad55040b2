"""A window: what was counted between two looks, in memory that does not grow with the traffic."""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

LARGEST = 1e9
"""Larger values count as this one: with two digits kept, a histogram has at most 1,500 buckets."""

_POWERS = [10.0**power for power in range(-5, 9)]
_UPWARDS = [10.0 ** max(0, 1 - power) for power in range(-6, 9)]
_DOWNWARDS = [10.0 ** max(0, power - 1) for power in range(-6, 9)]


def rounded(value: float) -> float:
    """The value with two significant digits: at most 5 % away, exact for whole numbers up to 99.

    What is below 0 counts as 0. Called for every request: formatting to text and back takes twice
    as long.
    """
    if not 0.0 < value < LARGEST:
        return LARGEST if value >= LARGEST else 0.0
    place = bisect_right(_POWERS, value)
    up, down = _UPWARDS[place], _DOWNWARDS[place]
    return int(value * up / down + 0.5) / up * down  # `round` goes through the digits


@dataclass(slots=True)
class Window:
    """Counters by metric and label, and histograms by metric as a count for each rounded value."""

    # Not `Counter`, which counts three times slower.
    counters: defaultdict[tuple[str, str], int] = field(default_factory=lambda: defaultdict(int))
    histograms: defaultdict[str, defaultdict[float, int]] = field(
        default_factory=lambda: defaultdict(lambda: defaultdict(int))
    )

    def add(self, other: Window) -> None:
        """Count in what another window has counted."""
        for key, count in other.counters.items():
            self.counters[key] += count
        for name, counts in other.histograms.items():
            for value, count in counts.items():
                self.histograms[name][value] += count

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


def buckets(counts: Mapping[float, int], most: int) -> Iterable[tuple[list[float], list[int]]]:
    """The histogram's values and their counts, in parts of at most `most` values."""
    ordered = sorted(counts.items())
    for start in range(0, len(ordered), most):
        part = ordered[start : start + most]
        yield [value for value, _ in part], [count for _, count in part]
