"""Sinks for CloudWatch: `PutMetricData`, and JSON lines in the embedded metric format (EMF).

CloudWatch extracts EMF metrics from log events that are pure JSON: from a container's standard
output, from a file that the agent follows, or from the agent's own port. Not from standard output
on Elastic Beanstalk, where the platform puts a prefix before each line.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Iterator, Sequence
from itertools import zip_longest
from pathlib import Path
from typing import Any, TypeAlias

from relay.telemetry import metrics
from relay.telemetry.metrics import Kind, Metric
from relay.telemetry.report import Report, SinkError, value_chunks

MAX_ENTRY_VALUES = 150
"""CloudWatch quota: different values of a metric in one `PutMetricData` entry."""

MAX_EMF_VALUES = 100
"""CloudWatch quota: different values of a metric in one log event."""

REJECTED_BY_CODE = "RejectedByCode"
"""A field beside the metrics. Fields are not billed as metrics and can be queried."""

Put: TypeAlias = Callable[[str, Sequence[dict[str, Any]]], Awaitable[None]]
"""Calls `PutMetricData` with a namespace and entries; raises `SinkError`."""


class CloudWatchSink:
    """Sends each report in one call: a few dozen entries, far below the quota (1,000, 1 MB)."""

    def __init__(self, put: Put) -> None:
        self._put = put

    async def put(self, report: Report) -> None:
        """Send the report."""
        await self._put(metrics.NAMESPACE, list(_entries(report)))


def _entries(report: Report) -> Iterator[dict[str, Any]]:
    common = {
        "Dimensions": [{"Name": name, "Value": v} for name, v in report.dimensions.items()],
        "Timestamp": report.at,
    }
    for metric in metrics.METRICS:
        for values in _values(metric, report):
            yield {"MetricName": metric.name, "Unit": metric.unit, **common, **values}


def _is_sent(counter: Metric, report: Report) -> bool:
    return not counter.sparse or report.window.total(counter.name) > 0


def _values(metric: Metric, report: Report) -> Iterator[dict[str, Any]]:
    if metric.kind is Kind.COUNTER:
        if _is_sent(metric, report):
            yield {"Value": float(report.window.total(metric.name))}
    elif metric.kind is Kind.GAUGE:
        yield {"Value": report.gauges[metric.name]}
    else:
        for values, counts in value_chunks(report.window.histograms[metric.name], MAX_ENTRY_VALUES):
            yield {"Values": values, "Counts": [float(count) for count in counts]}


class EmfLineSink:
    """Passes the lines of each report to `write`, which runs in a thread and may block."""

    def __init__(self, write: Callable[[str], None]) -> None:
        self._write = write

    async def put(self, report: Report) -> None:
        """Write the report."""
        text = "".join(f"{line}\n" for line in emf_lines(report))
        try:
            await asyncio.to_thread(self._write, text)
        except OSError as error:
            raise SinkError(f"cannot write the EMF lines: {error.strerror or error}") from error


class EmfAgentSink:
    """Sends each report to the CloudWatch agent's TCP port, over a new connection."""

    def __init__(self, host: str, port: int, log_group: str) -> None:
        self._host = host
        self._port = port
        self._log_group = log_group

    async def put(self, report: Report) -> None:
        """Send the report."""
        text = "".join(f"{line}\n" for line in emf_lines(report, self._log_group))
        try:
            _, writer = await asyncio.open_connection(self._host, self._port)
            try:
                writer.write(text.encode())
                await writer.drain()
            finally:
                writer.close()
            await writer.wait_closed()
        except OSError as error:
            raise SinkError(
                f"cannot send to the CloudWatch agent at {self._host}:{self._port}: "
                f"{error.strerror or error}"
            ) from error


def appender(path: Path) -> Callable[[str], None]:
    """A function that appends to the file. It opens the file each time, so it may be rotated."""

    def write(text: str) -> None:
        with path.open("a", encoding="utf-8") as file:
            file.write(text)

    return write


def emf_lines(report: Report, log_group: str | None = None) -> Iterator[str]:
    """The report as JSON documents: one, or more if a histogram has too many values for one."""
    for number, histograms in enumerate(_histograms(report)):
        members: dict[str, Any] = {} if number else _single_values(report)
        yield json.dumps(_document(report, members | histograms, log_group))


def _document(report: Report, members: dict[str, Any], log_group: str | None) -> dict[str, Any]:
    units = {metric.name: metric.unit for metric in metrics.METRICS}
    directive = {
        "Timestamp": int(report.at * 1_000),
        "CloudWatchMetrics": [
            {
                "Namespace": metrics.NAMESPACE,
                "Dimensions": [list(report.dimensions)],
                "Metrics": [{"Name": name, "Unit": units[name]} for name in members],
            }
        ],
    }
    if log_group is not None:
        directive["LogGroupName"] = log_group
    codes = report.window.by_label(metrics.REJECTED.name)
    fields = {REJECTED_BY_CODE: codes} if codes and metrics.REJECTED.name in members else {}
    return {"_aws": directive, **report.dimensions, **members, **fields}


def _single_values(report: Report) -> dict[str, Any]:
    counters = {
        metric.name: report.window.total(metric.name)
        for metric in metrics.METRICS
        if metric.kind is Kind.COUNTER and _is_sent(metric, report)
    }
    return counters | dict(report.gauges)


def _histograms(report: Report) -> Iterator[dict[str, Any]]:
    """The histograms for the first document, the second, and so on; always at least one."""
    columns = [
        [
            (metric.name, chunk)
            for chunk in value_chunks(report.window.histograms[metric.name], MAX_EMF_VALUES)
        ]
        for metric in metrics.METRICS
        if metric.kind is Kind.HISTOGRAM
    ]
    yield from (
        {name: _statistics(*chunk) for name, chunk in filter(None, row)}
        for row in (list(zip_longest(*columns)) or [()])
    )


def _statistics(values: list[float], counts: list[int]) -> dict[str, Any]:
    return {
        "Values": values,
        "Counts": counts,
        "Max": values[-1],
        "Min": values[0],
        "Count": sum(counts),
        "Sum": sum(value * count for value, count in zip(values, counts, strict=True)),
    }
