"""A sink that fails costs one warning and no count."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

import pytest

from relay.model.facts import Received
from relay.telemetry import metrics
from relay.telemetry.flusher import Flusher
from relay.telemetry.report import Report, SinkError, State, Window
from tests.telemetry.samples import NOW, message, recorder, tell


class Scripted:
    """A sink that fails as it is told, and keeps what it took."""

    def __init__(self, *errors: Exception | None) -> None:
        self.errors = list(errors)
        self.taken: list[dict[str, int]] = []

    async def put(self, report: Report) -> None:
        error = self.errors.pop(0) if self.errors else None
        if error is not None:
            raise error
        self.taken.append({m.name: report.window.total(m.name) for m in metrics.METRICS})


async def flushed(sink: Scripted, times: int) -> None:
    counted = recorder()
    flusher = Flusher(counted, sink, service="relay", clock=lambda: NOW)
    for _ in range(times):
        tell(counted, Received(message()))
        await flusher.flush()


@pytest.mark.parametrize(
    "error", [SinkError("no"), TimeoutError(), OSError("gone"), RuntimeError("a bug of a library")]
)
async def test_what_a_sink_does_not_take_comes_with_the_next_report(error: Exception) -> None:
    sink = Scripted(error, error, None, None)
    await flushed(sink, 4)
    first, second = sink.taken
    assert (first["Received"], first["Heartbeat"], first["TelemetryFailures"]) == (3, 3, 2)
    assert (second["Received"], second["Heartbeat"], second["TelemetryFailures"]) == (1, 1, 0)


async def test_the_trouble_is_told_at_its_start_and_at_its_end(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO, logger="relay")
    await flushed(Scripted(SinkError("no room"), SinkError("no room"), None, None), 4)
    told = [record.getMessage() for record in caplog.records]
    assert len(told) == 2
    assert "no room" in told[0]
    assert "again" in told[1]


async def test_a_zero_is_sent_too_so_that_nothing_is_not_no_data() -> None:
    sink = Scripted()
    flusher = Flusher(recorder(), sink, service="relay")
    await flusher.flush()
    assert sink.taken == [{m.name: int(m.name == "Heartbeat") for m in metrics.METRICS}]


async def test_it_flushes_once_a_minute() -> None:
    sink, pauses = Scripted(), list[float]()

    async def sleep(seconds: float) -> None:
        pauses.append(seconds)
        if len(pauses) == 4:
            raise asyncio.CancelledError

    with pytest.raises(asyncio.CancelledError):
        await Flusher(recorder(), sink, service="relay", sleep=sleep).run()
    assert pauses == [metrics.FLUSH_SECONDS] * 4
    assert len(sink.taken) == 3


async def test_the_queue_is_named_by_the_settings_else_by_the_first_message() -> None:
    counted = recorder()
    unnamed = Flusher(counted, Scripted(), service="relay")
    assert unnamed.dimensions == {"service": "relay", "queue": "unknown"}
    tell(counted, Received(message()))
    assert unnamed.dimensions == {"service": "relay", "queue": "orders"}
    named = Flusher(counted, Scripted(), service="relay", queue="events")
    assert named.dimensions["queue"] == "events"


async def test_each_report_is_told_once_whatever_becomes_of_it() -> None:
    told: list[tuple[int, int]] = []

    def told_of(window: Window, state: State) -> None:
        told.append((window.total("Received"), state.in_flight))

    counted = recorder()
    sink = Scripted(SinkError("no"))
    flusher = Flusher(
        counted, sink, service="relay", tell=told_of, state=lambda: State(in_flight=7)
    )
    tell(counted, Received(message()))
    await flusher.flush()
    await flusher.flush()
    assert told == [(1, 7), (0, 7)]


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
async def test_the_gauges_say_what_the_relay_is_doing(
    state: State, halted: float, circuit: float
) -> None:
    found: list[Report] = []
    put: Callable[[Report], None] = found.append

    class Keeping:
        async def put(self, report: Report) -> None:
            put(report)

    await Flusher(recorder(), Keeping(), service="relay", state=lambda: state).flush()
    gauges = found[0].gauges
    assert (gauges["Halted"], gauges["CircuitState"]) == (halted, circuit)
    assert {m.name for m in metrics.METRICS if m.kind is metrics.Kind.GAUGE} == set(gauges)
