"""Metrics over OTLP/HTTP, by OpenTelemetry's exporter. Needs the extra `otlp`.

OpenTelemetry's own variables (`OTEL_EXPORTER_OTLP_ENDPOINT` and others) configure the exporter.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator, Mapping

from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.sdk.metrics import export as otel
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.util.instrumentation import InstrumentationScope

from relay.telemetry.metrics import METRICS, Kind, Metric
from relay.telemetry.otlp_extra import silence_exporters, trusted_file
from relay.telemetry.report import Report, SinkError, Window, distribution

TIMEOUT = 5.0
UNITS = {"Count": "1", "Seconds": "s", "None": "1"}
"""The UCUM unit for each of CloudWatch's."""

_CUMULATIVE = otel.AggregationTemporality.CUMULATIVE


class OtlpSink:
    """Exports totals since the start, so the next report makes up for one that was lost.

    Args:
        service: becomes the resource's `service.name`.
    """

    def __init__(self, service: str) -> None:
        silence_exporters()
        self._exporter = OTLPMetricExporter(certificate_file=trusted_file(), timeout=TIMEOUT)
        self._resource = Resource.create({"service.name": service})
        self._totals = Window()
        self._started = time.time_ns()

    async def put(self, report: Report) -> None:
        """Send the totals.

        The report's window is cleared: a report that fails is already part of the totals, and the
        flusher must not add it to the next report.
        """
        self._totals.add(report.window)
        report.window.clear()
        data = self._data(report)
        result = await asyncio.to_thread(self._exporter.export, data, TIMEOUT * 1_000)
        if result is not otel.MetricExportResult.SUCCESS:
            raise SinkError("the OTLP export failed: check OTEL_EXPORTER_OTLP_ENDPOINT")

    async def aclose(self) -> None:
        """Close the connections."""
        await asyncio.to_thread(self._exporter.shutdown)

    def _data(self, report: Report) -> otel.MetricsData:
        metrics = [
            otel.Metric(
                name=otlp_name(metric),
                description=metric.description,
                unit=UNITS[metric.unit],
                data=self._points(metric, report),
            )
            for metric in METRICS
        ]
        scope = otel.ScopeMetrics(InstrumentationScope("relay"), metrics, "")
        return otel.MetricsData([otel.ResourceMetrics(self._resource, [scope], "")])

    def _points(self, metric: Metric, report: Report) -> otel.Sum | otel.Gauge | otel.Histogram:
        if metric.kind is Kind.GAUGE:
            value = report.gauges[metric.name]
            return otel.Gauge([self._number(report, report.dimensions, value)])
        if metric.kind is Kind.HISTOGRAM:
            return otel.Histogram([self._histogram(metric, report)], _CUMULATIVE)
        points = [self._number(report, *point) for point in self._counts(metric, report)]
        return otel.Sum(points, _CUMULATIVE, is_monotonic=True)

    def _counts(self, metric: Metric, report: Report) -> Iterator[tuple[Mapping[str, str], int]]:
        codes = self._totals.by_label(metric.name) if metric.labels else {}
        if not codes:
            yield report.dimensions, self._totals.total(metric.name)
        for code, count in codes.items():
            yield {**report.dimensions, metric.labels[0]: code}, count

    def _number(
        self, report: Report, attributes: Mapping[str, str], value: float
    ) -> otel.NumberDataPoint:
        return otel.NumberDataPoint(
            attributes=dict(attributes),
            start_time_unix_nano=self._started,
            time_unix_nano=int(report.at * 1e9),
            value=value,
        )

    def _histogram(self, metric: Metric, report: Report) -> otel.HistogramDataPoint:
        found = distribution(metric, self._totals)
        values = self._totals.histograms[metric.name]
        return otel.HistogramDataPoint(
            attributes=dict(report.dimensions),
            start_time_unix_nano=self._started,
            time_unix_nano=int(report.at * 1e9),
            count=found.count,
            sum=found.sum,
            bucket_counts=list(found.counts),
            explicit_bounds=list(found.bounds),
            min=min(values, default=0.0),
            max=max(values, default=0.0),
        )


def otlp_name(metric: Metric) -> str:
    """The metric's name by OpenTelemetry's conventions, such as `relay.end_to_end_age`."""
    return "relay." + "".join(
        f"_{char.lower()}" if char.isupper() else char for char in metric.name
    ).removeprefix("_")
