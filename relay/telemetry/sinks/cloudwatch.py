"""Metrics by CloudWatch's PutMetricData, whose client is passed in."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Sequence
from datetime import UTC, datetime
from typing import Any, TypeAlias

from relay.telemetry import table
from relay.telemetry.report import Report
from relay.telemetry.table import Kind, Metric
from relay.telemetry.window import buckets

VALUES = 150
"""Amazon CloudWatch quota: different values of a metric in one entry."""

Put: TypeAlias = Callable[[str, Sequence[dict[str, Any]]], Awaitable[None]]
"""Calls PutMetricData with a namespace and entries; raises `NotTaken`."""


class CloudWatchSink:
    """One call a report: at most a few dozen entries, far below the quota of 1,000 and 1 MB."""

    def __init__(self, put: Put) -> None:
        self._put = put

    async def put(self, report: Report) -> None:
        """Send the report."""
        await self._put(table.NAMESPACE, list(_entries(report)))


def _entries(report: Report) -> Iterator[dict[str, Any]]:
    about = {
        "Dimensions": [{"Name": name, "Value": v} for name, v in report.dimensions.items()],
        "Timestamp": datetime.fromtimestamp(report.at, UTC),
    }
    for metric in table.METRICS:
        for values in _values(metric, report):
            yield {"MetricName": metric.name, "Unit": metric.unit, **about, **values}


def _values(metric: Metric, report: Report) -> Iterator[dict[str, Any]]:
    if metric.kind is Kind.COUNTER:
        yield {"Value": float(report.window.total(metric.name))}
    elif metric.kind is Kind.GAUGE:
        yield {"Value": report.gauges[metric.name]}
    else:
        for values, counts in buckets(report.window.histograms[metric.name], VALUES):
            yield {"Values": values, "Counts": [float(count) for count in counts]}
