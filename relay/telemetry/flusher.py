"""Sends the counts to a metrics sink once a minute, and once more when the relay stops."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Mapping

from relay.telemetry import metrics
from relay.telemetry.recorder import Recorder
from relay.telemetry.report import Report, Sink, SinkError, State, Window

SINK_TIMEOUT = 10.0
"""Seconds that a sink may take for a report."""

UNKNOWN_QUEUE = "unknown"
"""The queue's name if no setting names it and no message has arrived yet."""

_log = logging.getLogger(__name__)


class Flusher:
    """Sends reports to one sink. A report that fails is added to the next one.

    A failure affects nothing else. It is counted, and logged when the failures start and when they
    end.

    Args:
        recorder: holds the counts.
        sink: where reports go.
        service: the first dimension.
        queue: the second; None takes the queue's name from the messages.
        state: returns the relay's current state.
        on_flush: called at each flush with the counts since the last one, and the state, before
            they are sent.
        every: seconds between two flushes.
        running: whether the relay runs, for its heartbeat.
    """

    def __init__(  # noqa: PLR0913 - what the composition root hands over
        self,
        recorder: Recorder,
        sink: Sink,
        *,
        service: str,
        queue: str | None = None,
        state: Callable[[], State] = State,
        on_flush: Callable[[Window, State], None] = lambda _window, _state: None,
        every: float = metrics.FLUSH_SECONDS,
        running: Callable[[], bool] = lambda: True,
        clock: Callable[[], float] = time.time,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._recorder = recorder
        self._sink = sink
        self._service = service
        self._queue = queue
        self._state = state
        self._on_flush = on_flush
        self._every = every
        self._running = running
        self._clock = clock
        self._sleep = sleep
        self._unsent = Window()
        self._failing = False

    async def run(self) -> None:
        """Flush again and again until cancelled."""
        while True:
            await self._sleep(self._every)
            await self.flush()

    async def flush(self, within: float = SINK_TIMEOUT) -> None:
        """Send the counts since the last flush, in at most `within` seconds.

        A sink's error is never raised.
        """
        if self._running():
            self._recorder.count(metrics.HEARTBEAT)
        window, state = self._recorder.take(), self._state()
        self._on_flush(window, state)
        self._unsent.add(window)
        report = Report(
            at=self._clock(),
            dimensions=self.dimensions,
            window=self._unsent,
            gauges=gauges(state) | _of_window(window),
        )
        await self._send(report, within)

    async def _send(self, report: Report, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self._sink.put(report)
        except SinkError as error:
            self._failed(str(error))
        except TimeoutError:
            self._failed(f"no response in {seconds:g} s")
        except Exception as error:  # noqa: BLE001 - whatever a sink's library raises
            self._failed(f"{type(error).__name__}: {error}")
        else:
            self._unsent = Window()
            if self._failing:
                _log.info("metrics are sent again")
            self._failing = False

    def _failed(self, reason: str) -> None:
        self._recorder.count(metrics.TELEMETRY_FAILURES)
        if not self._failing:
            _log.warning("metrics were not sent, they are added to the next report: %s", reason)
        self._failing = True

    @property
    def dimensions(self) -> Mapping[str, str]:
        """The value of each dimension."""
        queue = self._queue or self._recorder.queue or UNKNOWN_QUEUE
        return dict(zip(metrics.DIMENSIONS, (self._service, queue), strict=True))


def _of_window(window: Window) -> dict[str, float]:
    """Gauges that show what ended before the flush: a halt of the reject guard may be short."""
    return {metrics.HALTED.name: 1.0} if window.total(metrics.REJECTS_HELD.name) else {}


def gauges(state: State) -> dict[str, float]:
    """The value of each gauge, by the metric's name."""
    return {
        metrics.HALTED.name: float(state.halted),
        metrics.STUCK.name: float(state.stuck),
        metrics.UNHEARD.name: float(state.unheard),
        metrics.PAUSED.name: float(state.paused),
        metrics.IN_FLIGHT.name: float(state.in_flight),
        metrics.CONCURRENCY.name: float(state.concurrency),
        metrics.CIRCUIT_STATE.name: float(metrics.CIRCUIT_STATES[state.circuit]),
    }
