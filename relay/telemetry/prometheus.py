"""Metrics for Prometheus, which scrapes `GET /metrics`."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Iterator, Mapping
from itertools import accumulate
from typing import Any, TypeAlias

from relay.telemetry import metrics
from relay.telemetry.metrics import Kind, Metric
from relay.telemetry.recorder import Recorder
from relay.telemetry.report import Report, Window, distribution

PATH = "/metrics"
CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

App: TypeAlias = Callable[[Any, Any, Any], Awaitable[None]]
"""An ASGI application."""


class PrometheusSink:
    """Adds up the reports and serves the totals, including the counts since the last report.

    Args:
        recorder: read at each scrape, so that the response is never a minute old.
        gauges: returns the current values of the gauges.
        dimensions: returns the labels of every sample.
    """

    def __init__(
        self,
        recorder: Recorder,
        gauges: Callable[[], Mapping[str, float]],
        dimensions: Callable[[], Mapping[str, str]],
    ) -> None:
        self._recorder = recorder
        self._gauges = gauges
        self._dimensions = dimensions
        self._totals = Window()

    async def put(self, report: Report) -> None:
        """Add the report to the totals."""
        self._totals.add(report.window)

    def text(self) -> str:
        """All metrics in Prometheus's text format."""
        totals = Window()
        totals.add(self._totals)
        totals.add(self._recorder.window)
        return "".join(f"{line}\n" for line in _lines(totals, self._gauges(), self._dimensions()))

    def add_metrics_route(self, app: App) -> App:
        """The application with `GET /metrics` added to it."""

        async def with_metrics(scope: Any, receive: Any, send: Any) -> None:
            if scope["type"] == "http" and scope["path"] == PATH and scope["method"] == "GET":
                await self._respond(send)
            else:
                await app(scope, receive, send)

        return with_metrics

    async def _respond(self, send: Callable[[Any], Awaitable[None]]) -> None:
        headers = [(b"content-type", CONTENT_TYPE.encode())]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": self.text().encode()})


def _lines(totals: Window, gauges: Mapping[str, float], labels: Mapping[str, str]) -> Iterator[str]:
    for metric in metrics.METRICS:
        name = prometheus_name(metric)
        yield f"# HELP {name} {metric.description}"
        yield f"# TYPE {name} {metric.kind.value}"
        if metric.kind is Kind.GAUGE:
            yield f"{name}{_labels(labels)} {gauges[metric.name]:g}"
        elif metric.kind is Kind.COUNTER:
            yield from _counter(metric, totals, name, labels)
        else:
            yield from _histogram(metric, totals, name, labels)


def _counter(metric: Metric, totals: Window, name: str, labels: Mapping[str, str]) -> Iterator[str]:
    codes = totals.by_label(metric.name) if metric.labels else {}
    if not codes:
        yield f"{name}{_labels(labels)} {totals.total(metric.name)}"
    for code, count in codes.items():
        yield f"{name}{_labels({**labels, metric.labels[0]: code})} {count}"


def _histogram(
    metric: Metric, totals: Window, name: str, labels: Mapping[str, str]
) -> Iterator[str]:
    found = distribution(metric, totals)
    bounds = [*(f"{bound:g}" for bound in found.bounds), "+Inf"]
    for bound, count in zip(bounds, accumulate(found.counts), strict=True):
        yield f"{name}_bucket{_labels({**labels, 'le': bound})} {count}"
    yield f"{name}_sum{_labels(labels)} {found.sum!r}"
    yield f"{name}_count{_labels(labels)} {found.count}"


def prometheus_name(metric: Metric) -> str:
    """The metric's name by Prometheus's conventions, such as `relay_end_to_end_age_seconds`."""
    words = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", metric.name).lower()
    unit = "_seconds" if metric.unit == "Seconds" else ""
    end = "_total" if metric.kind is Kind.COUNTER else ""
    return f"relay_{words}{unit}{end}"


def _labels(labels: Mapping[str, str]) -> str:
    escaped = (
        (name, value.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n"))
        for name, value in labels.items()
    )
    return "{" + ",".join(f'{name}="{value}"' for name, value in escaped) + "}"
