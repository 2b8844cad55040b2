"""What was seen in one look, and the rates between two."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from relay.telemetry import table
from relay.telemetry.sinks.prometheus import prometheus_name

RATED = {
    metric.name: prometheus_name(metric)
    for metric in (
        table.RECEIVED,
        table.DELIVERED,
        table.RETRIED,
        table.REJECTED,
        table.DEAD_LETTERED,
    )
}
"""The counters that are shown, by their names in the text that Prometheus reads."""

WINDOW = 15.0
"""Seconds over which a rate is taken: between two looks it would only flicker."""


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueSample:
    """A queue's approximate counts; `oldest` is in seconds, None where CloudWatch did not tell."""

    name: str
    visible: int
    in_flight: int
    delayed: int
    oldest: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RelaySample:
    """One relay's own words. `problem` says why there are none; `counters` are since its start."""

    url: str
    problem: str | None = None
    ready: bool | None = None
    circuit: str | None = None
    reason: str | None = None
    setting: str | None = None
    in_hand: int | None = None
    last_error: str | None = None
    counters: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One look at everything, at a time in epoch seconds; `gaps` are sentences."""

    at: float
    queues: tuple[QueueSample, ...] = ()
    relays: tuple[RelaySample, ...] = ()
    gaps: tuple[str, ...] = ()

    @property
    def empty(self) -> bool:
        """Whether nothing could be looked at."""
        return not self.queues and all(relay.problem for relay in self.relays)

    def as_json(self, rates: Mapping[str, Mapping[str, float]]) -> dict[str, Any]:
        """The look for machines, with the rates of each relay by its URL."""
        relays = [{**asdict(r), "rates": rates.get(r.url, {})} for r in self.relays]
        queues = [asdict(queue) for queue in self.queues]
        return {"at": self.at, "queues": queues, "relays": relays, "gaps": list(self.gaps)}


def rates(samples: Sequence[Sample]) -> dict[str, dict[str, float]]:
    """Events or messages a second, by relay and counter, over the samples of the window.

    A counter that went back is of a relay that was started anew: its count begins at 0.
    """
    last = samples[-1]
    first = next(s for s in samples if last.at - s.at <= WINDOW)
    seconds = last.at - first.at
    if seconds <= 0:
        return {}
    before = {relay.url: relay.counters for relay in first.relays}
    return {
        relay.url: {
            name: _grown(before[relay.url].get(name, 0.0), value) / seconds
            for name, value in relay.counters.items()
        }
        for relay in last.relays
        if relay.counters and before.get(relay.url)
    }


def _grown(old: float, new: float) -> float:
    return new - old if new >= old else new
