"""The page *Now*: queues, relays and circuits as they are, updated by server-sent events."""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import BaseRoute, Route

from relay.console.charts import Bar, bars, polyline
from relay.console.rendering import Renderer
from relay.console.watcher import Watcher
from relay.ops.status import QueueStatus, RelayStatus, StatusReport
from relay.ops.status_history import Period

SLOTS, SLOT_SECONDS = 60, 15.0
"""The throughput that is drawn: a quarter of an hour."""

_NOT_WELL = ("halted", "stuck", "open")


@dataclass(frozen=True, slots=True)
class Row:
    """A relay as it is shown.

    Attributes:
        status: its latest report.
        rates: events or messages per second by counter.
        throughput: events delivered per second, one value for each slot.
        line: the same as the points of an SVG polyline.
        ages: percentiles of the end-to-end age in seconds.
        periods: the states of its circuit, the latest last.
        strip: the same as bars.
    """

    status: RelayStatus
    rates: Mapping[str, float]
    throughput: Sequence[float | None]
    line: str
    ages: Mapping[int, float] | None
    periods: Sequence[Period]
    strip: Sequence[Bar]

    @property
    def peak(self) -> float:
        """The highest throughput that is drawn."""
        return max((value for value in self.throughput if value is not None), default=0.0)

    @property
    def state(self) -> str:
        """One word for its state."""
        if self.status.problem is not None:
            return "unreachable"
        return self.status.circuit or "unknown"


def retention_left(queue: QueueStatus) -> float | None:
    """Seconds until SQS deletes the oldest message; None if its age is not known."""
    if queue.oldest_age is None or queue.retention is None:
        return None
    return max(0.0, queue.retention - queue.oldest_age)


class NowPage:
    """Shows the latest report."""

    def __init__(
        self, renderer: Renderer, watcher: Watcher, clock: Callable[[], float] = time.time
    ) -> None:
        self._renderer = renderer
        self._watcher = watcher
        self._clock = clock

    def routes(self) -> Sequence[BaseRoute]:
        """The page and its events."""
        return (
            Route("/", self._page, name="now"),
            Route("/now/events", self._events, name="now_events"),
        )

    async def _page(self, _request: Request) -> Response:
        await self._watcher.first()
        return self._renderer.page("now.html", "now", **self._values())

    async def _events(self, _request: Request) -> Response:
        return StreamingResponse(self._stream(), media_type="text/event-stream")

    async def _stream(self) -> AsyncIterator[str]:
        # The first one tells a browser that reconnects what it missed.
        yield self._event()
        async for _ in self._watcher.reports():
            yield self._event()

    def _event(self) -> str:
        text = self._renderer.text("now_body.html", **self._values())
        return f"data: {json.dumps(text)}\n\n"

    def _values(self) -> dict[str, Any]:
        report = self._watcher.history.last or StatusReport(at=self._clock())
        rows = [self._row(status) for status in report.relays]
        return {
            "report": report,
            "rows": rows,
            "verdict": verdict(rows),
            "retention_left": retention_left,
        }

    def _row(self, status: RelayStatus) -> Row:
        history = self._watcher.history
        throughput = history.throughput(status.url, slots=SLOTS, seconds=SLOT_SECONDS)
        periods = history.periods(status.url)
        return Row(
            status=status,
            rates=history.rates().get(status.url, {}),
            throughput=throughput,
            line=polyline(throughput),
            ages=history.ages(status.url),
            periods=periods[-8:],
            strip=bars([(period.state or "unreachable", period.seconds) for period in periods]),
        )


def verdict(rows: Sequence[Row]) -> tuple[str, str]:
    """One sentence about all relays, and `good`, `warning`, `bad` or `unknown`."""
    if not rows:
        return "No relay is watched: here are the queues.", "unknown"
    if all(row.status.problem for row in rows):
        return "No relay answers at the addresses that this console watches.", "unknown"
    bad = [row for row in rows if row.state in _NOT_WELL or row.status.problem]
    if bad:
        return f"{len(bad)} of {len(rows)} relays do not deliver.", "bad"
    if any(row.state != "closed" or row.status.ready is False for row in rows):
        return "A relay is testing whether its destination works again.", "warning"
    if any(row.status.warnings for row in rows):
        return "Events are delivered, with warnings.", "warning"
    return "Events are delivered.", "good"
