"""Several worker processes as one relay: counts, states, readiness, and outages logged once."""

from __future__ import annotations

from typing import Any

import pytest

from relay.model.facts import (
    CircuitChanged,
    Fact,
    LedgerChanged,
    PauseChanged,
    ProcessEnded,
    ReceivingChanged,
    RejectGuardChanged,
    StuckChanged,
)
from relay.supervisor.supervisor import SUPPORTED, Ended, Started
from relay.telemetry.recorder import Recorder
from relay.telemetry.report import Report, SinkError, State, Window
from relay.telemetry.worker_reports import (
    CONDITIONS,
    Condition,
    ConditionReport,
    ReportSocket,
    WorkerReport,
    WorkerSink,
)
from relay.telemetry.workers import LATE_AFTER, SILENT_AFTER, Workers
from tests.telemetry.samples import log_lines, observe

DETAILS = {
    "circuit": "closed",
    "halted": False,
    "stuck": False,
    "paused": False,
    "pause": None,
    "reason": None,
    "setting": None,
    "seconds": 1.0,
    "in_flight": 0,
    "last_error": None,
    "warnings": ["give it a ledger"],
    "receiving": "open",
}


class Rig:
    """Two workers with a manual clock."""

    def __init__(self) -> None:
        self.now = 1_000.0
        self.facts: list[Fact] = []
        self.recorder = Recorder()
        self.workers = Workers(2, self.facts.append, self.recorder.add, clock=lambda: self.now)

    def report(self, worker: int, *, ready: bool = True, counts: int = 0, **details: Any) -> None:
        states = {"in_flight", "circuit", "receiving", "stuck", "paused", "problem"}
        state = State(**{name: value for name, value in details.items() if name in states})
        details.pop("problem", None)
        self.workers.take(
            WorkerReport(
                worker=worker,
                pid=100 + worker,
                counters={("Delivered", ""): counts, ("Rejected", "not_json"): worker},
                histograms={"BatchSize": {10.0: worker}},
                state=state,
                ready=ready,
                details=DETAILS | details,
            )
        )

    def changed(self, worker: int, state: str, destination: str = "", seconds: float = 0.0) -> None:
        reason = f"worker {worker}"
        self.tell(
            worker,
            CircuitChanged(state=state, reason=reason, seconds=seconds, destination=destination),
        )

    def tell(self, worker: int, fact: Condition) -> None:
        received: list[ConditionReport] = []
        reports = ReportSocket()
        WorkerSink(reports, worker).tell(fact)
        for packet in reports.read():
            assert isinstance(packet, ConditionReport)
            received.append(packet)
        reports.close()
        for packet in received:
            self.workers.take(packet)

    @property
    def circuits(self) -> list[tuple[str, str, float]]:
        return [
            (fact.state, fact.reason, fact.seconds)
            for fact in self.facts
            if isinstance(fact, CircuitChanged)
        ]


@pytest.fixture
def rig() -> Rig:
    return Rig()


def test_counts_and_histograms_are_added(rig: Rig) -> None:
    rig.report(1, counts=3)
    rig.report(2, counts=4)
    rig.report(1, counts=5)
    window = rig.recorder.take()
    assert window.total("Delivered") == 12
    assert window.by_label("Rejected") == {"not_json": 4}
    assert window.histograms["BatchSize"] == {10.0: 4}


def test_the_state_is_the_sum_or_the_worst(rig: Rig) -> None:
    rig.report(1, in_flight=3, circuit="open", receiving="open", paused=True)
    rig.report(2, in_flight=4, circuit="closed", receiving="halted", problem="no permission")
    assert rig.workers.state == State(
        in_flight=7, circuit="open", receiving="halted", paused=True, problem="no permission"
    )
    assert rig.workers.state.halted


def test_it_is_ready_when_every_worker_is(rig: Rig) -> None:
    ready, found = rig.workers.ready()
    assert not ready
    assert found["reason"] == (
        "process 1 of 2 is not running: it has not started yet;"
        " process 2 of 2 is not running: it has not started yet"
    )
    rig.report(1, in_flight=2)
    assert not rig.workers.ready()[0]
    rig.report(2, in_flight=3)
    ready, found = rig.workers.ready()
    assert ready
    assert (found["in_flight"], found["warnings"]) == (5, ["give it a ledger"])
    assert [one["pid"] for one in found["processes"]] == [101, 102]
    rig.report(2, ready=False, circuit="halted", halted=True, reason="the key", setting="RELAY_KEY")
    ready, found = rig.workers.ready()
    assert not ready
    assert (found["circuit"], found["halted"]) == ("halted", True)
    assert (found["reason"], found["setting"]) == ("the key", "RELAY_KEY")


def test_the_same_reason_of_several_is_given_once(rig: Rig) -> None:
    for worker in (1, 2):
        rig.report(worker, ready=False, circuit="open", reason="connection refused")
    assert rig.workers.ready()[1]["reason"] == "connection refused"


def test_a_worker_that_ended_is_missing_and_told(rig: Rig) -> None:
    rig.report(1, in_flight=9)
    rig.report(2, in_flight=1)
    rig.workers.take(Ended(1, 101, "was ended by signal 9", 0.5))
    ready, found = rig.workers.ready()
    assert not ready
    assert found["reason"] == "process 1 of 2 is not running: it was ended by signal 9"
    assert found["in_flight"] == rig.workers.state.in_flight == 1
    assert rig.facts == [
        ProcessEnded(worker=1, of=2, pid=101, how="was ended by signal 9", delay=0.5)
    ]
    rig.workers.take(Started(1, 103))
    assert "it has just been started" in rig.workers.ready()[1]["reason"]


def test_an_end_in_a_stop_is_no_restart(rig: Rig) -> None:
    rig.workers.take(Ended(1, 101, "ended with exit code 0", None))
    assert rig.facts == []


def test_an_end_is_counted_and_logged() -> None:
    ended = ProcessEnded(worker=1, of=2, pid=101, how="was ended by signal 9", delay=0.5)
    reporter = ProcessEnded(worker=0, of=2, pid=99, how="ended with exit code 1", delay=0.0)
    recorder = Recorder()
    observe(recorder, ended, reporter)
    assert recorder.take().total("ProcessRestarts") == 2
    lines = log_lines(ended, reporter)
    assert [line["message"] for line in lines] == [
        "process 1 of 2 was ended by signal 9; it is started again in 0.5 s",
        "the reporter ended with exit code 1; it is started again at once",
    ]
    assert [(line["level"], line["worker"], line["pid"]) for line in lines] == [
        ("WARNING", 1, 101),
        ("WARNING", 0, 99),
    ]


def test_a_silent_worker_is_not_ready_and_after_a_minute_not_alive(rig: Rig) -> None:
    for worker in (1, 2):
        rig.report(worker)
    rig.now += LATE_AFTER + 1
    rig.report(2)
    ready, found = rig.workers.ready()
    assert not ready
    assert found["reason"] == "process 1 of 2 is not running: it has not answered for 11 s"
    assert [one["ready"] for one in found["processes"]] == [False, True]
    assert rig.workers.alive()
    rig.now += SILENT_AFTER - LATE_AFTER
    rig.report(2)
    assert not rig.workers.alive()


def test_the_heartbeat_ends_when_no_worker_reports(rig: Rig) -> None:
    assert not rig.workers.running()
    rig.report(1)
    assert rig.workers.running()
    rig.workers.take(Ended(1, 101, "ended with exit code 1", 30.0))
    assert not rig.workers.running()
    rig.now += SILENT_AFTER - 1
    assert rig.workers.alive()
    rig.now += 2
    assert not rig.workers.alive()


def test_an_outage_is_told_once_at_its_first_start_and_its_last_end(rig: Rig) -> None:
    rig.changed(1, "open")
    rig.now += 5
    rig.changed(2, "open")
    rig.now += 5
    rig.changed(1, "closed", seconds=10.0)
    assert rig.circuits == [("open", "worker 1", 0.0)]
    rig.now += 5
    rig.changed(2, "closed", seconds=10.0)
    assert rig.circuits[1:] == [("closed", "worker 2", 15.0)]


def test_an_outage_that_becomes_a_halt_is_told_again(rig: Rig) -> None:
    rig.changed(1, "open")
    rig.changed(2, "halted")
    rig.changed(1, "halted")
    rig.changed(1, "closed")
    rig.changed(2, "open")
    rig.changed(2, "closed")
    assert [state for state, *_ in rig.circuits] == ["open", "halted", "closed"]


def test_each_destination_has_outages_of_its_own(rig: Rig) -> None:
    rig.changed(1, "open", "webhook")
    rig.changed(1, "open", "inngest")
    rig.changed(1, "closed", "webhook")
    assert [state for state, *_ in rig.circuits] == ["open", "open", "closed"]


def test_a_worker_that_ended_leaves_no_outage_behind(rig: Rig) -> None:
    rig.changed(1, "halted")
    rig.workers.take(Ended(1, 101, "was ended by signal 9", 0.5))
    rig.changed(2, "open")
    rig.changed(2, "closed")
    assert [state for state, *_ in rig.circuits] == ["halted", "open", "closed"]


def test_a_pause_and_a_reject_guard_are_told_once(rig: Rig) -> None:
    paused = PauseChanged(paused=True, by="ana", reason="moving", seconds=1.0)
    guarded = RejectGuardChanged(halted=True, reason="many", seconds=1.0, setting="RELAY_ENVELOPE")
    for worker in (1, 2):
        rig.tell(worker, paused)
        rig.tell(worker, guarded)
    assert rig.facts == [paused, guarded]


@pytest.mark.parametrize(
    "fact",
    [
        CircuitChanged(state="open", reason="r", seconds=1.0),
        ReceivingChanged(state="halted", reason="r", seconds=1.0),
        StuckChanged(stuck=True, reason="r", seconds=1.0, setting="RELAY_INNGEST_URL"),
        PauseChanged(paused=True, by="ana", reason="r", seconds=1.0),
        LedgerChanged(unavailable=True, reason="r", seconds=1.0),
        RejectGuardChanged(halted=True, reason="r", seconds=1.0, setting="RELAY_ENVELOPE"),
    ],
)
def test_a_condition_arrives_as_it_was_sent(rig: Rig, fact: Condition) -> None:
    rig.tell(1, fact)
    assert rig.facts == [fact]
    assert type(fact) in CONDITIONS.values()


def test_every_condition_is_tried() -> None:
    tried = test_a_condition_arrives_as_it_was_sent.pytestmark[0].args[1]  # type: ignore[attr-defined]
    assert {type(fact) for fact in tried} == set(CONDITIONS.values())


async def put_until_full(sink: WorkerSink, report: Report) -> int:
    """How often it can be sent while nobody reads."""
    sent = 0
    while True:
        try:
            await sink.put(report)
        except SinkError:
            return sent
        sent += 1


async def test_a_report_that_does_not_fit_the_socket_is_part_of_the_next() -> None:
    reports = ReportSocket()
    sink = WorkerSink(reports, 1)
    window = Window()
    window.counters["Delivered", ""] = 1
    report = Report(at=0.0, dimensions={}, window=window, gauges={})
    sent = await put_until_full(sink, report)
    assert len(list(reports.read())) == sent > 1
    await sink.put(report)
    reports.close_writing()
    last = list(reports.read())
    assert last[-1] is None
    assert len(last) == 2
    reports.close()


@pytest.mark.skipif(not SUPPORTED, reason="needs Linux's sockets")
async def test_the_largest_report_fits_a_packet() -> None:
    reports = ReportSocket()
    window = Window()
    for name in ("EndToEndAge", "ForwardLatency", "BatchSize", "GatewayLatency"):
        window.histograms[name].update({number / 7: 10**9 for number in range(1_500)})
    for code in range(100):
        window.counters["Rejected", f"code-{code}"] = 10**9
    await WorkerSink(reports, 1).put(Report(at=0.0, dimensions={}, window=window, gauges={}))
    (packet,) = reports.read()
    assert isinstance(packet, WorkerReport)
    assert packet.window == window
    reports.close()
