"""The dashboard for Grafana: the stack's, read from Prometheus, and every metric below it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from relay.telemetry import metrics
from relay.telemetry.metrics import CIRCUIT_STATES, Kind, Metric
from relay.telemetry.prometheus import prometheus_name
from relay_cdk.grafana_panels import SOURCE, Query, graph, placed, row, tile

SELECTED = '{service=~"$service", queue=~"$queue"}'
RATE = "$__rate_interval"
QUEUES = '{dimension_QueueName=~"($queue)(-dlq([.]fifo)?)?"}'


def document() -> str:
    """The dashboard as a JSON file."""
    board = {
        "uid": "relay",
        "title": "Relay",
        "description": "What the relay receives, delivers, rejects and holds.",
        "tags": ["relay", "sqs"],
        "editable": True,
        "graphTooltip": 1,
        "schemaVersion": 39,
        "version": 1,
        "time": {"from": "now-3h", "to": "now"},
        "timezone": "",
        "refresh": "30s",
        "templating": {"list": [_source(), *map(_variable, ("service", "queue"))]},
        "annotations": {"list": []},
        "panels": [*placed((*_tiles(), *_graphs(), *_details()))],
    }
    return json.dumps(board, indent=2) + "\n"


def _source() -> dict[str, Any]:
    return {
        "name": "datasource",
        "label": "Data source",
        "type": "datasource",
        "query": "prometheus",
        "hide": 0,
        "refresh": 1,
    }


def _variable(label: str) -> dict[str, Any]:
    name = prometheus_name(metrics.HEARTBEAT)
    selected = '{service=~"$service"}' if label == "queue" else ""
    query = f"label_values({name}{selected}, {label})"
    return {
        "name": label,
        "label": label.capitalize(),
        "type": "query",
        "datasource": SOURCE,
        "definition": query,
        "query": {"query": query, "refId": label},
        "refresh": 2,
        "sort": 1,
        "multi": True,
        "includeAll": True,
        "allValue": ".+",
        "current": {"text": "All", "value": "$__all"},
    }


def _tiles() -> Iterator[dict[str, Any]]:
    """The state at a glance."""
    heartbeat = prometheus_name(metrics.HEARTBEAT)
    yield tile(
        "Relays", f"count({heartbeat}{SELECTED}) or vector(0)", "Processes that are scraped."
    )
    states = [*CIRCUIT_STATES]
    yield tile("Circuit", largest(metrics.CIRCUIT_STATE), metrics.CIRCUIT_STATE.description, states)
    yield tile("Halted", largest(metrics.HALTED), metrics.HALTED.description, ["no", "yes"])
    yield tile("Stuck", largest(metrics.STUCK), metrics.STUCK.description, ["no", "yes"])
    in_time, late = total(metrics.DELIVERED_IN_SLO, "1d"), total(metrics.DELIVERED_LATE, "1d")
    share = f"{in_time} / ({in_time} + {late})"
    yield tile("In time, 24 h", share, metrics.DELIVERED_IN_SLO.description, unit="percentunit")
    dead = total(metrics.DEAD_LETTERED, "1d")
    yield tile("Dead-lettered, 24 h", dead, metrics.DEAD_LETTERED.description)


def _graphs() -> Iterator[dict[str, Any]]:
    """The panels of the stack's own dashboard."""
    yield graph(
        "Throughput",
        [rate(m) for m in (metrics.RECEIVED, metrics.DELIVERED, metrics.RETRIED)],
        "ops",
    )
    yield graph(
        "From first send to accepted",
        [quantile(metrics.END_TO_END_AGE, q) for q in (0.5, 0.95, 0.99)],
        "s",
    )
    yield graph(
        "Messages waiting, in flight, dead-lettered (with the CloudWatch exporter)",
        [_depth("visible", "waiting"), _depth("not_visible", "in flight")],
        "short",
    )
    yield graph(
        "Destination: latency",
        [quantile(metrics.FORWARD_LATENCY, q) for q in (0.5, 0.99)],
        "s",
    )
    yield graph(
        "Rejected, dead-lettered, duplicate, redriven",
        [
            rate(metric)
            for metric in (
                metrics.REJECTED,
                metrics.DEAD_LETTERED,
                metrics.AMBIGUOUS,
                metrics.DUPLICATES,
                metrics.REDRIVEN,
            )
        ],
        "ops",
    )
    yield graph(
        "In flight, circuit, failures",
        [
            (f"sum({prometheus_name(metrics.IN_FLIGHT)}{SELECTED})", "InFlight"),
            (largest(metrics.CIRCUIT_STATE), "CircuitState"),
            rate(metrics.LATE_DELETES),
            rate(metrics.TELEMETRY_FAILURES),
        ],
        "short",
    )


def _details() -> Iterator[dict[str, Any]]:
    """Every metric of the table, in a row that is closed at first."""
    panels = [graph(m.name, [*_detail(m)], _unit(m), m.description, 6) for m in metrics.METRICS]
    yield row("Every metric", panels)


def _detail(metric: Metric) -> Iterator[Query]:
    name = prometheus_name(metric)
    if metric.kind is Kind.GAUGE:
        yield f"max by (service, queue) ({name}{SELECTED})", "{{service}} {{queue}}"
    elif metric.kind is Kind.HISTOGRAM:
        yield from (quantile(metric, q) for q in (0.5, 0.95, 0.99))
    else:
        by = ", ".join(("service", "queue", *metric.labels))
        legend = " ".join(f"{{{{{label}}}}}" for label in by.split(", "))
        yield f"sum by ({by}) (rate({name}{SELECTED}[{RATE}]))", legend


def _unit(metric: Metric) -> str:
    if metric.kind is Kind.COUNTER:
        return "ops"
    return "s" if metric.unit == "Seconds" else "short"


def _depth(state: str, legend: str) -> Query:
    name = f"aws_sqs_approximate_number_of_messages_{state}_average"
    expression = f"max by (dimension_QueueName) ({name}{QUEUES})"
    return expression, f"{{{{dimension_QueueName}}}} {legend}"


def rate(metric: Metric) -> Query:
    """A counter's rate over all its labels and relays."""
    return f"sum(rate({prometheus_name(metric)}{SELECTED}[{RATE}]))", metric.name


def total(metric: Metric, window: str) -> str:
    """A counter's increase over all its labels and relays."""
    return f"sum(increase({prometheus_name(metric)}{SELECTED}[{window}]))"


def largest(metric: Metric) -> str:
    """The largest value of a gauge."""
    return f"max({prometheus_name(metric)}{SELECTED})"


def quantile(metric: Metric, share: float) -> Query:
    """A percentile of a histogram."""
    name = f"{prometheus_name(metric)}_bucket"
    buckets = f"sum by (le) (rate({name}{SELECTED}[{RATE}]))"
    return f"histogram_quantile({share:g}, {buckets})", f"p{100 * share:g}"
