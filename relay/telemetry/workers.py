"""The worker processes of one relay as one: their counts, their state, and their outages."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from msgspec.structs import replace

from relay.model.facts import (
    CircuitChanged,
    Fact,
    LedgerChanged,
    Observe,
    PauseChanged,
    ProcessEnded,
    ReceivingChanged,
    RejectGuardChanged,
    ignore,
)
from relay.supervisor.supervisor import REPORTER, Ended, Started
from relay.telemetry import metrics
from relay.telemetry.report import State, Window
from relay.telemetry.worker_reports import Condition, ConditionReport, Packet, WorkerReport

LATE_AFTER = 10.0
"""Seconds without a report after which a worker does not count as running."""

SILENT_AFTER = 60.0
"""Seconds without a report after which `/health` says that the relay must be restarted: a worker
hangs, or none can be started."""

_RECEIVING = ("open", "stopping", "backing-off", "halted")


@dataclass(slots=True)
class _Worker:
    """What is known of a worker. `pid` is 0 while it does not run."""

    number: int
    heard_at: float
    pid: int = 0
    missing: str = "it has not started yet"
    report: WorkerReport | None = None


class Conditions:
    """Passes on once what each worker finds out for itself.

    A state is passed on when the first worker is in it, and its end when the last one has left it.
    """

    def __init__(self, observe: Observe, clock: Callable[[], float]) -> None:
        self._observe = observe
        self._clock = clock
        self._levels: defaultdict[tuple[type, str], dict[int, int]] = defaultdict(dict)
        self._since: dict[tuple[type, str], float] = {}

    def take(self, worker: int, fact: Condition) -> None:
        """Take a fact of a worker."""
        key = type(fact), fact.destination if isinstance(fact, CircuitChanged) else ""
        levels, now = self._levels[key], self._clock()
        before = max(levels.values(), default=0)
        levels[worker] = _level(fact)
        after = max(levels.values())
        if after > before:
            self._since.setdefault(key, now)
            self._observe(fact)
        elif before > after == 0:
            self._observe(replace(fact, seconds=now - self._since.pop(key)))

    def forget(self, worker: int) -> None:
        """Forget what a worker found out that has ended: it did not say that it was over."""
        for key, levels in self._levels.items():
            levels.pop(worker, None)
            if not any(levels.values()):
                self._since.pop(key, None)


def _level(fact: Condition) -> int:
    """How bad it is; 0 if nothing is wrong."""
    if isinstance(fact, CircuitChanged):
        return ("closed", "open", "halted").index(fact.state)
    if isinstance(fact, ReceivingChanged):
        return ("open", "backing-off", "halted").index(fact.state)
    if isinstance(fact, LedgerChanged):
        return int(fact.unavailable)
    if isinstance(fact, PauseChanged):
        return int(fact.paused)
    return int(fact.halted if isinstance(fact, RejectGuardChanged) else fact.stuck)


@dataclass
class Workers:
    """All workers of a relay.

    Args:
        count: how many there are.
        observe: gets each outage and halt once for all of them.
        add: adds counts to those of the relay.
        clock: monotonic seconds.
    """

    count: int
    observe: Observe = ignore
    add: Callable[[Window], None] = lambda _window: None
    clock: Callable[[], float] = time.monotonic
    _workers: dict[int, _Worker] = field(init=False)
    _conditions: Conditions = field(init=False)
    _heard_at: float = field(init=False)

    def __post_init__(self) -> None:
        now = self._heard_at = self.clock()
        self._workers = {n: _Worker(n, now) for n in range(1, self.count + 1)}
        self._conditions = Conditions(self._observe, self.clock)

    def _observe(self, fact: Fact) -> None:
        self.observe(fact)

    def take(self, packet: Packet) -> None:
        """Take what a worker or the supervisor sent."""
        if isinstance(packet, ConditionReport):
            self._conditions.take(packet.worker, packet.condition)
        elif isinstance(packet, WorkerReport):
            self.add(packet.window)
            worker = self._heard(self._workers[packet.worker])
            worker.pid, worker.report = packet.pid, packet
            self._heard_at = worker.heard_at
        elif isinstance(packet, Started):
            worker = self._heard(self._workers[packet.worker])
            worker.pid = packet.pid
            worker.missing = "it has just been started"
        else:
            self._ended(packet)

    def _heard(self, worker: _Worker) -> _Worker:
        worker.heard_at = self.clock()
        return worker

    def _ended(self, packet: Ended) -> None:
        if packet.worker != REPORTER:
            worker = self._workers[packet.worker]
            worker.pid, worker.report = 0, None
            worker.missing = f"it {packet.how}"
            self._conditions.forget(packet.worker)
        if packet.delay is not None:
            fact = ProcessEnded(
                worker=packet.worker,
                of=self.count,
                pid=packet.pid,
                how=packet.how,
                delay=packet.delay,
            )
            self.observe(fact)

    @property
    def _reports(self) -> list[WorkerReport]:
        """The last reports of the workers that run."""
        return [one.report for one in self._workers.values() if one.report is not None]

    def running(self) -> bool:
        """Whether a worker runs and reports."""
        now = self.clock()
        return any(one.report and now - one.heard_at < LATE_AFTER for one in self._workers.values())

    def alive(self) -> bool:
        """The answer of `/health`: whether the supervisor has it in hand."""
        now = self.clock()
        hangs = any(one.pid and now - one.heard_at > SILENT_AFTER for one in self._workers.values())
        return not hangs and now - self._heard_at <= SILENT_AFTER

    @property
    def state(self) -> State:
        """The state for the metrics: sums, and the worst of what has no sum."""
        states = [report.state for report in self._reports]
        problem = next((state for state in states if state.problem is not None), State())
        return State(
            in_flight=sum(state.in_flight for state in states),
            concurrency=sum(state.concurrency for state in states),
            circuit=_worst_circuit(state.circuit for state in states),
            receiving=max((state.receiving for state in states), key=_badness, default="open"),
            problem=problem.problem,
            setting=problem.setting,
            stuck=any(state.stuck for state in states),
            unheard=max((state.unheard for state in states), default=0),
            paused=any(state.paused for state in states),
        )

    def ready(self) -> tuple[bool, Mapping[str, Any]]:
        """The answer of `/ready`: the relay is ready while every worker is."""
        now = self.clock()
        missing = {}
        for one in self._workers.values():
            if one.report is None:
                missing[one.number] = one.missing
            elif now - one.heard_at > LATE_AFTER:
                missing[one.number] = f"it has not answered for {now - one.heard_at:.0f} s"
        reports = self._reports
        reasons = [text for report in reports if (text := report.details.get("reason"))]
        reasons += [
            f"process {n} of {self.count} is not running: {why}" for n, why in missing.items()
        ]
        ready = not missing and all(report.ready for report in reports)
        return ready, {
            **_merged([report.details for report in reports]),
            "reason": "; ".join(dict.fromkeys(reasons)) or None,
            "processes": [
                _summary(one, answers=one.number not in missing) for one in self._workers.values()
            ],
        }


def _merged(all_details: list[dict[str, Any]]) -> dict[str, Any]:
    """The details of several answers as one: sums, the worst, or the first that says something."""

    def values(name: str) -> list[Any]:
        return [found for one in all_details if (found := one.get(name)) is not None]

    return {
        "circuit": _worst_circuit(values("circuit")),
        "halted": any(values("halted")),
        "stuck": any(values("stuck")),
        "paused": any(values("paused")),
        "pause": next(iter(values("pause")), None),
        "setting": next(iter(values("setting")), None),
        "seconds": max(values("seconds"), default=0.0),
        "in_flight": sum(values("in_flight")),
        "last_error": next(iter(values("last_error")), None),
        "warnings": list(dict.fromkeys(text for texts in values("warnings") for text in texts)),
        "receiving": max(values("receiving"), key=_badness, default="open"),
    }


def _summary(worker: _Worker, *, answers: bool) -> dict[str, Any]:
    details = worker.report.details if worker.report else {}
    return {
        "pid": worker.pid or None,
        "ready": answers and worker.report is not None and worker.report.ready,
        "circuit": details.get("circuit"),
        "in_flight": details.get("in_flight"),
    }


def _worst_circuit(states: Iterable[str]) -> str:
    return max(states, key=metrics.CIRCUIT_STATES.__getitem__, default="closed")


def _badness(receiving: str) -> int:
    return _RECEIVING.index(receiving)
