"""What became of the accepted events: the state of each, and counts by name, function and hour."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from relay.ops.audit.functions import Listeners
from relay.ops.audit.state import EventRuns
from relay.ops.inngest_api import SETTLE

MAX_KEYS = 1_000
"""Names, functions or hours that are counted apart. Names with ids in them have no end."""

OTHERS = "(others)"
UNKNOWN = "(unknown)"

MEANING = {
    "failed": "a run failed",
    "cancelled": "a run was cancelled, and none failed",
    "running": "a run is under way",
    "waiting": "no run has started yet",
    "completed": "every run completed",
    "signal": "it starts no function: it cancels runs, or a step waits for it",
    "unheard": "no function listens to its name",
    "not_run": "a function listens, and no run is listed",
    "missing": "it was accepted and the server does not have it",
}
"""The states of an event, the first that applies. Codes are stable."""

_RUNNING = "running"
_WAITING = frozenset({"queued", "scheduled"})


def state_of(event: EventRuns, listeners: Listeners | None, heard: frozenset[str]) -> str:
    """The state of the event, one of `MEANING`.

    Args:
        event: with all of its runs.
        listeners: what the functions listen to; None if the server did not tell.
        heard: names of events that had a run, which decide then.
    """
    if event.runs:
        return _state_of_runs({run.status for run in event.runs})
    if not event.stored:
        return "missing"
    if listeners is not None and listeners.is_signal(event.name):
        return "signal"
    if not (listeners.of(event.name) if listeners is not None else event.name in heard):
        return "unheard"
    young = event.at is not None and event.looked_at - event.at < SETTLE
    return "waiting" if young else "not_run"


def _state_of_runs(statuses: set[str]) -> str:
    for status in ("failed", "cancelled"):
        if status in statuses:
            return status
    if statuses & _WAITING and _RUNNING not in statuses:
        return "waiting"
    return "completed" if statuses == {"completed"} else _RUNNING


@dataclass(frozen=True, slots=True)
class UnheardName:
    """A name that no function listens to: its events, and the most similar name that one does."""

    name: str
    events: int
    nearest: str | None

    def as_json(self) -> dict[str, Any]:
        """The same as JSON values."""
        return {"name": self.name, "events": self.events, "nearest": self.nearest}


@dataclass(slots=True)
class AuditReport:
    """The counts of an audit. Every count is of events, except that of `functions` is of runs.

    Attributes:
        source: the source of the accepted events.
        since: epoch seconds, as `until`: the time window.
        until: its end.
        names: the patterns for event names.
        references: accepted copies; events that were accepted repeatedly have several.
        pending: copies that were not looked up.
        requests: requests that were sent.
        states: events by state.
        by_name: the same for each name.
        by_hour: the same for each hour, in UTC.
        functions: runs by status for each function.
        unheard: the names that no function listens to, those with the most events first.
        gaps: sentences on what could not be read.
        notes: sentences on what limits what the report can say.
    """

    source: str
    since: float
    until: float
    names: Sequence[str] = ()
    references: int = 0
    pending: int = 0
    requests: int = 0
    states: Counter[str] = field(default_factory=Counter)
    by_name: dict[str, Counter[str]] = field(default_factory=dict)
    by_hour: dict[str, Counter[str]] = field(default_factory=dict)
    functions: dict[str, Counter[str]] = field(default_factory=dict)
    unheard: list[UnheardName] = field(default_factory=list)
    gaps: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def events(self) -> int:
        """How many events were looked up."""
        return self.states.total()

    @property
    def complete(self) -> bool:
        """Whether everything was looked up."""
        return not (self.pending or self.gaps)

    def as_json(self) -> dict[str, Any]:
        """Everything as JSON values."""
        return {
            "type": "audit",
            "source": self.source,
            "since": self.since,
            "until": self.until,
            "names": list(self.names),
            "complete": self.complete,
            "events": self.events,
            "references": self.references,
            "pending": self.pending,
            "requests": self.requests,
            "states": {state: self.states[state] for state in MEANING},
            "by_name": {name: dict(counts) for name, counts in self.by_name.items()},
            "by_function": {name: dict(counts) for name, counts in self.functions.items()},
            "by_hour": {hour: dict(counts) for hour, counts in sorted(self.by_hour.items())},
            "unheard": [one.as_json() for one in self.unheard],
            "gaps": self.gaps,
            "notes": self.notes,
        }


def count_events(
    report: AuditReport,
    events: Iterable[EventRuns],
    listeners: Listeners | None,
    heard: frozenset[str],
) -> None:
    """Add the events to the report's counts."""
    for event in events:
        state = state_of(event, listeners, heard)
        report.states[state] += 1
        _counts(report.by_name, event.name or UNKNOWN)[state] += 1
        _counts(report.by_hour, _hour(event.at))[state] += 1
        for run in event.runs:
            _counts(report.functions, run.function)[run.status] += 1
    report.unheard = _unheard(report.by_name, listeners, heard)


def _unheard(
    by_name: Mapping[str, Counter[str]], listeners: Listeners | None, heard: frozenset[str]
) -> list[UnheardName]:
    known = listeners or Listeners(dict.fromkeys(heard, ()))
    found = [
        UnheardName(name, counts["unheard"], known.nearest(name))
        for name, counts in by_name.items()
        if counts["unheard"]
    ]
    return sorted(found, key=lambda one: (-one.events, one.name))


def _counts(groups: dict[str, Counter[str]], key: str) -> Counter[str]:
    if key not in groups and len(groups) >= MAX_KEYS:
        key = OTHERS
    return groups.setdefault(key, Counter())


def _hour(at: float | None) -> str:
    if at is None:
        return UNKNOWN
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:00Z")
