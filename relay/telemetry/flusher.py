"""The flusher: takes what was counted to a sink, once a minute and at the end."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Mapping

from relay.telemetry import metrics
from relay.telemetry.recorder import Recorder
from relay.telemetry.report import Report, Sink, SinkError, State, Window

PATIENCE = 10.0
"""Seconds for a sink to take a report. At the end it delays the exit by as much, at most."""

UNNAMED = "unknown"
"""The queue's name where no setting tells it and no message came yet."""

_log = logging.getLogger(__name__)


class Flusher:
    """Delivers reports to one sink. What it does not take is added to the next report.

    A failing sink costs nothing else: it is counted, and told twice, at the start of the trouble
    and at its end.

    Args:
        recorder: whose counts are taken.
        sink: where they go.
        service: the first dimension.
        queue: the second; None takes the name that the messages bear.
        state: what the relay is doing at that moment.
        tell: is called with each report's own window and state, whether the sink takes it or not.
    """

    def __init__(
        self,
        recorder: Recorder,
        sink: Sink,
        *,
        service: str,
        queue: str | None = None,
        state: Callable[[], State] = State,
        tell: Callable[[Window, State], None] = lambda _window, _state: None,
        clock: Callable[[], float] = time.time,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._recorder = recorder
        self._sink = sink
        self._service = service
        self._queue = queue
        self._state = state
        self._tell = tell
        self._clock = clock
        self._sleep = sleep
        self._owed = Window()
        self._trouble: str | None = None

    async def run(self) -> None:
        """Flush once a minute until cancelled."""
        while True:
            await self._sleep(metrics.FLUSH_SECONDS)
            await self.flush()

    async def flush(self) -> None:
        """Deliver what was counted since the last time. Never raises for the sink's sake."""
        self._recorder.count(metrics.HEARTBEAT)
        window, state = self._recorder.take(), self._state()
        self._tell(window, state)
        self._owed.add(window)
        report = Report(
            at=self._clock(),
            dimensions=self.dimensions,
            window=self._owed,
            gauges=gauges(state),
        )
        await self._deliver(report)

    async def _deliver(self, report: Report) -> None:
        try:
            async with asyncio.timeout(PATIENCE):
                await self._sink.put(report)
        except SinkError as error:
            self._failed(str(error))
        except TimeoutError:
            self._failed(f"no answer in {PATIENCE:g} s")
        except Exception as error:  # noqa: BLE001 - whatever a sink's library raises: see above
            self._failed(f"{type(error).__name__}: {error}")
        else:
            self._owed = Window()
            if self._trouble is not None:
                _log.info("metrics are taken again")
            self._trouble = None

    def _failed(self, reason: str) -> None:
        self._recorder.count(metrics.TELEMETRY_FAILURES)
        if self._trouble is None:
            _log.warning("metrics are not taken and will be sent with the next ones: %s", reason)
        self._trouble = reason

    @property
    def dimensions(self) -> Mapping[str, str]:
        """The values of the dimensions."""
        queue = self._queue or self._recorder.queue or UNNAMED
        return dict(zip(metrics.DIMENSIONS, (self._service, queue), strict=True))


def gauges(state: State) -> Mapping[str, float]:
    """The value of each gauge, by its metric's name."""
    return {
        metrics.HALTED.name: float(state.halted),
        metrics.IN_FLIGHT.name: float(state.in_flight),
        metrics.CONCURRENCY.name: float(state.concurrency),
        metrics.CIRCUIT_STATE.name: float(metrics.CIRCUIT_STATES[state.circuit]),
    }
