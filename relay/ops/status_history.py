"""The status over time: throughput, ages and changes of state, from one report after the other."""

from __future__ import annotations

from bisect import bisect_left
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from relay.ops.status import RelayStatus, StatusReport, rates

KEPT = 1_800.0
"""Seconds of reports to keep."""

PERCENTILES = (50, 95, 99)

AGE_WINDOW = 300.0
"""Seconds over which the percentiles of the end-to-end age are computed."""

DELIVERED = "Delivered"


@dataclass(frozen=True, slots=True)
class Period:
    """A time in one state, in epoch seconds; `state` is None while the relay did not answer."""

    state: str | None
    since: float
    until: float

    @property
    def seconds(self) -> float:
        """How long it lasted so far."""
        return self.until - self.since


class StatusHistory:
    """The reports of the last half hour."""

    def __init__(self, *, kept: float = KEPT) -> None:
        self._kept = kept
        self._reports: deque[StatusReport] = deque()

    def __len__(self) -> int:
        return len(self._reports)

    @property
    def last(self) -> StatusReport | None:
        """The latest report."""
        return self._reports[-1] if self._reports else None

    def add(self, report: StatusReport) -> None:
        """Add the next report, and drop those that are too old."""
        self._reports.append(report)
        while self._reports[0].at < report.at - self._kept:
            self._reports.popleft()

    def rates(self) -> Mapping[str, Mapping[str, float]]:
        """Events or messages per second, by relay and counter; see `relay.ops.status.rates`."""
        return rates(self._reports) if self._reports else {}

    def throughput(self, url: str, *, slots: int, seconds: float) -> tuple[float | None, ...]:
        """Events delivered per second in each slot, the latest last; None where nothing is known.

        A slot is `seconds` long. A counter that decreased belongs to a restarted relay.
        """
        found: list[float | None] = [None] * slots
        spent = [0.0] * slots
        end = self._reports[-1].at if self._reports else 0.0
        for before, after, increase in self._increases(url):
            slot = slots - 1 - int((end - after) / seconds)
            if 0 <= slot < slots:
                found[slot] = (found[slot] or 0.0) + increase
                spent[slot] += after - before
        return tuple(
            None if value is None or not time else value / time
            for value, time in zip(found, spent, strict=True)
        )

    def ages(self, url: str) -> dict[int, float] | None:
        """Percentiles of the end-to-end age, in seconds, of events delivered in `AGE_WINDOW`.

        They are interpolated within the buckets of the metric; a value above the last bound counts
        as that bound. None if nothing was delivered, or the relay serves no metrics.
        """
        counts = self._recent_ages(url)
        total = sum(counts.values())
        if not total:
            return None
        return {share: _percentile(counts, total * share / 100) for share in PERCENTILES}

    def periods(self, url: str) -> list[Period]:
        """The states of the relay's circuit, one after the other."""
        found: list[Period] = []
        for report in self._reports:
            relay = _relay(report, url)
            state = relay.circuit if relay else None
            if found:
                found[-1] = Period(found[-1].state, found[-1].since, report.at)
            if not found or found[-1].state != state:
                found.append(Period(state, report.at, report.at))
        return found

    def _increases(self, url: str) -> Iterator[tuple[float, float, float]]:
        """Pairs of successive times with the events delivered between them."""
        before: tuple[float, float] | None = None
        for report in self._reports:
            relay = _relay(report, url)
            if relay is None or DELIVERED not in relay.counters:
                before = None
                continue
            value = relay.counters[DELIVERED]
            if before is not None and report.at > before[0]:
                yield before[0], report.at, value - before[1] if value >= before[1] else value
            before = report.at, value

    def _recent_ages(self, url: str) -> dict[float, float]:
        """Events in each bucket, by its upper bound, delivered in `AGE_WINDOW`."""
        recent = [r for r in self._reports if r.at >= self._reports[-1].at - AGE_WINDOW]
        buckets = [one.ages for r in recent if (one := _relay(r, url)) and one.ages]
        if not buckets:
            return {}
        first, last = buckets[0], buckets[-1]
        if len(buckets) == 1 or any(last[bound] < first.get(bound, 0.0) for bound in last):
            first = {}  # the totals since the relay's start
        return _apart({bound: last[bound] - first.get(bound, 0.0) for bound in sorted(last)})


def _relay(report: StatusReport, url: str) -> RelayStatus | None:
    return next((relay for relay in report.relays if relay.url == url), None)


def _apart(cumulative: Mapping[float, float]) -> dict[float, float]:
    """The count of each bucket alone, from those of all up to it."""
    found, before = {}, 0.0
    for bound, count in cumulative.items():
        found[bound] = max(0.0, count - before)
        before = max(before, count)
    return found


def _percentile(counts: Mapping[float, float], rank: float) -> float:
    bounds: Sequence[float] = [bound for bound in counts if bound != float("inf")]
    reached, cumulative = 0.0, list[float]()
    for bound in bounds:
        reached += counts[bound]
        cumulative.append(reached)
    index = bisect_left(cumulative, rank)
    if index >= len(bounds):
        return bounds[-1] if bounds else 0.0
    low = bounds[index - 1] if index else 0.0
    below = cumulative[index - 1] if index else 0.0
    return low + (bounds[index] - low) * (rank - below) / counts[bounds[index]]
