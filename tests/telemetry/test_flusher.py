"""The flusher sends every count once, even if the sink fails for a while."""

from __future__ import annotations

import asyncio
import logging

import pytest

from relay.model.facts import Received, RejectHeld
from relay.telemetry import metrics
from relay.telemetry.flusher import Flusher
from relay.telemetry.recorder import Recorder
from relay.telemetry.report import Report, SinkError, State, Window
from tests.telemetry.samples import NOW, message, observe


class ScriptedSink:
    """A sink that raises the given errors in turn, and keeps the reports it accepts."""

    def __init__(self, *errors: Exception | None) -> None:
        self.errors = list(errors)
        self.accepted: list[dict[str, int]] = []

    async def put(self, report: Report) -> None:
        error = self.errors.pop(0) if self.errors else None
        if error is not None:
            raise error
        self.accepted.append({m.name: report.window.total(m.name) for m in metrics.METRICS})


async def flushed(sink: ScriptedSink, times: int) -> None:
    recorder = Recorder()
    flusher = Flusher(recorder, sink, service="relay", clock=lambda: NOW)
    for _ in range(times):
        observe(recorder, Received(message()))
        await flusher.flush()


@pytest.mark.parametrize(
    "error", [SinkError("no"), TimeoutError(), OSError("gone"), RuntimeError("a bug of a library")]
)
async def test_a_report_that_fails_is_added_to_the_next_one(error: Exception) -> None:
    sink = ScriptedSink(error, error, None, None)
    await flushed(sink, 4)
    first, second = sink.accepted
    assert (first["Received"], first["Heartbeat"], first["TelemetryFailures"]) == (3, 3, 2)
    assert (second["Received"], second["Heartbeat"], second["TelemetryFailures"]) == (1, 1, 0)


async def test_failures_are_logged_when_they_start_and_when_they_end(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO, logger="relay")
    await flushed(ScriptedSink(SinkError("no room"), SinkError("no room"), None, None), 4)
    start, end = (record.getMessage() for record in caplog.records)
    assert "no room" in start
    assert "again" in end


async def test_a_halt_of_the_reject_guard_shows_although_it_ended_before_the_flush() -> None:
    halted: list[float] = []

    class Sink:
        async def put(self, report: Report) -> None:
            halted.append(report.gauges[metrics.HALTED.name])

    recorder = Recorder()
    flusher = Flusher(recorder, Sink(), service="relay", clock=lambda: NOW)
    observe(recorder, RejectHeld(message(), "not_json"))
    await flusher.flush()
    await flusher.flush()
    assert halted == [1.0, 0.0]


async def test_a_zero_is_sent_too_so_that_it_differs_from_no_data() -> None:
    sink = ScriptedSink()
    flusher = Flusher(Recorder(), sink, service="relay")
    await flusher.flush()
    assert sink.accepted == [{m.name: int(m.name == "Heartbeat") for m in metrics.METRICS}]


async def test_it_flushes_once_a_minute() -> None:
    sink, pauses = ScriptedSink(), list[float]()

    async def sleep(seconds: float) -> None:
        pauses.append(seconds)
        if len(pauses) == 4:
            raise asyncio.CancelledError

    with pytest.raises(asyncio.CancelledError):
        await Flusher(Recorder(), sink, service="relay", sleep=sleep).run()
    assert pauses == [metrics.FLUSH_SECONDS] * 4
    assert len(sink.accepted) == 3


async def test_the_queue_is_named_by_the_settings_or_else_by_the_first_message() -> None:
    recorder = Recorder()
    unnamed = Flusher(recorder, ScriptedSink(), service="relay")
    assert unnamed.dimensions == {"service": "relay", "queue": "unknown"}
    observe(recorder, Received(message()))
    assert unnamed.dimensions == {"service": "relay", "queue": "orders"}
    named = Flusher(recorder, ScriptedSink(), service="relay", queue="events")
    assert named.dimensions["queue"] == "events"


async def test_on_flush_is_called_once_for_each_report_even_if_it_fails() -> None:
    calls: list[tuple[int, int]] = []

    def on_flush(window: Window, state: State) -> None:
        calls.append((window.total("Received"), state.in_flight))

    recorder = Recorder()
    sink = ScriptedSink(SinkError("no"))
    flusher = Flusher(
        recorder, sink, service="relay", on_flush=on_flush, state=lambda: State(in_flight=7)
    )
    observe(recorder, Received(message()))
    await flusher.flush()
    await flusher.flush()
    assert calls == [(1, 7), (0, 7)]


@pytest.mark.parametrize(
    ("state", "halted", "circuit"),
    [
        (State(), 0.0, 0.0),
        (State(circuit="half-open"), 0.0, 1.0),
        (State(circuit="open"), 0.0, 2.0),
        (State(circuit="halted"), 1.0, 3.0),
        (State(problem="a permission is missing"), 1.0, 0.0),
    ],
)
async def test_the_gauges_show_the_state_of_the_relay(
    state: State, halted: float, circuit: float
) -> None:
    reports: list[Report] = []

    class KeepingSink:
        async def put(self, report: Report) -> None:
            reports.append(report)

    await Flusher(Recorder(), KeepingSink(), service="relay", state=lambda: state).flush()
    gauges = reports[0].gauges
    assert (gauges["Halted"], gauges["CircuitState"]) == (halted, circuit)
    assert {m.name for m in metrics.METRICS if m.kind is metrics.Kind.GAUGE} == set(gauges)
