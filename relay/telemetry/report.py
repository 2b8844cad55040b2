"""Counts in bounded memory, the reports made of them, and the interface of a metrics sink."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from relay.telemetry.metrics import Metric

MAX_VALUE = 1e9
"""Larger values count as this one. With two digits kept, a histogram has at most 1,500 buckets."""

_POWERS = [10.0**power for power in range(-5, 9)]
_UPWARDS = [10.0 ** max(0, 1 - power) for power in range(-6, 9)]
_DOWNWARDS = [10.0 ** max(0, power - 1) for power in range(-6, 9)]


def rounded(value: float) -> float:
    """The value with two significant digits: at most 5 % off, exact for whole numbers up to 99.

    Negative values count as 0. Called for every request, hence the arithmetic: formatting to text
    and back takes twice as long.
    """
    if not 0.0 < value < MAX_VALUE:
        return MAX_VALUE if value >= MAX_VALUE else 0.0
    place = bisect_right(_POWERS, value)
    up, down = _UPWARDS[place], _DOWNWARDS[place]
    return int(value * up / down + 0.5) / up * down  # faster than `round`


@dataclass(slots=True)
class Window:
    """Counters by metric and label; histograms by metric, as a count for each rounded value."""

    # Not `Counter`, which is three times slower.
    counters: defaultdict[tuple[str, str], int] = field(default_factory=lambda: defaultdict(int))
    histograms: defaultdict[str, defaultdict[float, int]] = field(
        default_factory=lambda: defaultdict(lambda: defaultdict(int))
    )

    def add(self, other: Window) -> None:
        """Add the counts of another window."""
        for key, count in other.counters.items():
            self.counters[key] += count
        for name, counts in other.histograms.items():
            for value, count in counts.items():
                self.histograms[name][value] += count

    def clear(self) -> None:
        """Remove all counts."""
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


def value_chunks(counts: Mapping[float, int], size: int) -> Iterable[tuple[list[float], list[int]]]:
    """The histogram's values and their counts, in chunks of at most `size` values."""
    ordered = sorted(counts.items())
    for start in range(0, len(ordered), size):
        chunk = ordered[start : start + size]
        yield [value for value, _ in chunk], [count for _, count in chunk]


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """The current state of a relay.

    `concurrency` is the current limit of requests at once. `circuit` is one of
    `metrics.CIRCUIT_STATES`. `receiving` is the state of receiving in pull mode: `open`,
    `backing-off`, `halted` or `stopping`. `problem` is a sentence while a misconfiguration halts
    the relay that neither circuit nor receiving shows; `setting` is the setting to check. `stuck`
    is whether messages are not delivered although the circuit is closed. `unheard` counts names of
    delivered events that no function listens to. `paused` is whether an operator has paused the
    queue.
    """

    in_flight: int = 0
    concurrency: int = 0
    circuit: str = "closed"
    receiving: str = "open"
    problem: str | None = None
    setting: str | None = None
    stuck: bool = False
    unheard: int = 0
    paused: bool = False

    @property
    def halted(self) -> bool:
        """Whether a person has to fix something before events are delivered again."""
        return "halted" in (self.circuit, self.receiving) or self.problem is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What one flush sends.

    `at` is seconds since the epoch, `dimensions` has the values of `metrics.DIMENSIONS`, `window`
    the counts since the last report that was sent, `gauges` the current values.
    """

    at: float
    dimensions: Mapping[str, str]
    window: Window
    gauges: Mapping[str, float]


class SinkError(Exception):
    """A report could not be sent. The text is a sentence for the operator, without secrets."""


class Sink(Protocol):
    """Where metrics go. It gets one report at a time."""

    async def put(self, report: Report) -> None:
        """Send the report, in one attempt. If it fails, the next report contains it.

        Raises:
            SinkError: the report was not sent, as far as is known.
        """
        ...


BOUNDS: dict[str, Sequence[float]] = {
    "Seconds": (
        *(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300),
        *(600, 1_800, 3_600, 21_600, 86_400, 604_800),
    ),
    "Count": (1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000, 5_000),
}
"""Upper bounds of the fixed buckets for histograms of this unit."""


@dataclass(frozen=True, slots=True)
class Distribution:
    """A histogram in fixed buckets. `counts` has one more than `bounds`, for larger values."""

    bounds: Sequence[float]
    counts: Sequence[int]
    sum: float

    @property
    def count(self) -> int:
        """The number of values."""
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
