"""The dashboard for Grafana: the stack's, read from Prometheus, and every metric below it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from itertools import count
from typing import Any

from relay.telemetry import metrics
from relay.telemetry.metrics import CIRCUIT_STATES, Kind, Metric
from relay.telemetry.prometheus import prometheus_name

SOURCE = {"type": "prometheus", "uid": "${datasource}"}
SELECTED = '{service=~"$service", queue=~"$queue"}'
RATE = "$__rate_interval"
QUEUES = '{dimension_QueueName=~"($queue)(-dlq([.]fifo)?)?"}'

WIDTH, ROW_HEIGHT, TILE_HEIGHT = 24, 8, 4
Query = tuple[str, str]
"""An expression and its legend."""


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
        "panels": [*_placed((*_tiles(), *_graphs(), *_details()))],
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
    yield _tile(
        "Relays", f"count({heartbeat}{SELECTED}) or vector(0)", "Processes that are scraped."
    )
    states = [*CIRCUIT_STATES]
    yield _tile(
        "Circuit", largest(metrics.CIRCUIT_STATE), metrics.CIRCUIT_STATE.description, states
    )
    yield _tile("Halted", largest(metrics.HALTED), metrics.HALTED.description, ["no", "yes"])
    yield _tile("Stuck", largest(metrics.STUCK), metrics.STUCK.description, ["no", "yes"])
    in_time, late = total(metrics.DELIVERED_IN_SLO, "1d"), total(metrics.DELIVERED_LATE, "1d")
    share = f"{in_time} / ({in_time} + {late})"
    yield _tile("In time, 24 h", share, metrics.DELIVERED_IN_SLO.description, unit="percentunit")
    dead = total(metrics.DEAD_LETTERED, "1d")
    yield _tile("Dead-lettered, 24 h", dead, metrics.DEAD_LETTERED.description)


def _graphs() -> Iterator[dict[str, Any]]:
    """The panels of the stack's own dashboard."""
    yield _graph(
        "Throughput",
        [rate(m) for m in (metrics.RECEIVED, metrics.DELIVERED, metrics.RETRIED)],
        "ops",
    )
    yield _graph(
        "From first send to accepted",
        [quantile(metrics.END_TO_END_AGE, q) for q in (0.5, 0.95, 0.99)],
        "s",
    )
    yield _graph(
        "Messages waiting, in flight, dead-lettered (with the CloudWatch exporter)",
        [_depth("visible", "waiting"), _depth("not_visible", "in flight")],
        "short",
    )
    yield _graph(
        "Destination: latency",
        [quantile(metrics.FORWARD_LATENCY, q) for q in (0.5, 0.99)],
        "s",
    )
    yield _graph(
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
    yield _graph(
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
    panels = [_graph(m.name, [*_detail(m)], _unit(m), m.description, 6) for m in metrics.METRICS]
    yield {
        "type": "row",
        "title": "Every metric",
        "collapsed": True,
        "panels": panels,
        "gridPos": {"w": WIDTH, "h": 1},
    }


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


def _tile(
    title: str, expression: str, text: str, states: Sequence[str] = (), unit: str = "short"
) -> dict[str, Any]:
    colors = ("green", "orange", "orange", "red") if len(states) > len("no") else ("green", "red")
    mappings = [
        {str(value): {"text": state, "color": color, "index": value}}
        for value, (state, color) in enumerate(zip(states, colors, strict=False))
    ]
    return {
        **_panel("stat", title, [(expression, title)], unit, text),
        "gridPos": {"w": WIDTH // 6, "h": TILE_HEIGHT},
        "options": {
            "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False},
            "colorMode": "background" if states else "value",
            "graphMode": "none",
        },
        "fieldConfig": {
            "defaults": {
                "unit": unit,
                "mappings": [{"type": "value", "options": one} for one in mappings],
            },
            "overrides": [],
        },
    }


def _graph(
    title: str, queries: Sequence[Query], unit: str, text: str = "", width: int = WIDTH // 3
) -> dict[str, Any]:
    return {
        **_panel("timeseries", title, queries, unit, text or title),
        "gridPos": {"w": width, "h": ROW_HEIGHT},
        "options": {
            "legend": {"displayMode": "list", "placement": "bottom", "showLegend": True},
            "tooltip": {"mode": "multi", "sort": "desc"},
        },
    }


def _panel(kind: str, title: str, queries: Sequence[Query], unit: str, text: str) -> dict[str, Any]:
    return {
        "type": kind,
        "title": title,
        "description": text,
        "datasource": SOURCE,
        "targets": [
            {
                "refId": chr(ord("A") + position),
                "datasource": SOURCE,
                "expr": expression,
                "legendFormat": legend,
            }
            for position, (expression, legend) in enumerate(queries)
        ],
        "fieldConfig": {"defaults": {"unit": unit}, "overrides": []},
    }


def _placed(panels: Sequence[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """The panels with ids and positions, from left to right and from top to bottom."""
    numbers = count(1)
    for panel in _in_rows(panels, 0):
        inner = panel.get("panels")
        if inner is not None:
            below = panel["gridPos"]["y"] + 1
            panel["panels"] = [{"id": next(numbers), **one} for one in _in_rows(inner, below)]
        yield {"id": next(numbers), **panel}


def _in_rows(panels: Sequence[dict[str, Any]], top: int) -> Iterator[dict[str, Any]]:
    x, y, height = 0, top, 0
    for panel in panels:
        size = panel["gridPos"]
        if x + size["w"] > WIDTH:
            x, y, height = 0, y + height, 0
        yield {**panel, "gridPos": {**size, "x": x, "y": y}}
        x, height = x + size["w"], max(height, size["h"])
