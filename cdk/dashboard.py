"""One screen: how much, how late, which way, why."""

from __future__ import annotations

from aws_cdk import aws_cloudwatch as cloudwatch
from constructs import Construct

from cdk.alarms import Alarms
from cdk.options import Options
from cdk.watch import Watched
from relay.telemetry import metrics
from relay.telemetry.metrics import Metric

FULL_WIDTH = 24
COLUMN = 8


def dashboard(scope: Construct, options: Options, alarms: Alarms) -> cloudwatch.Dashboard:
    """Alarms on top, then flow, lateness, the destination, and what went wrong."""
    watched = Watched(options)
    board = cloudwatch.Dashboard(scope, "Dashboard", dashboard_name=options.name)
    board.add_widgets(
        cloudwatch.AlarmStatusWidget(
            title="Alarms", alarms=[alarms.behind, *alarms.alarms.values()], width=FULL_WIDTH
        )
    )
    board.add_widgets(
        _sums(watched, "Flow", metrics.RECEIVED, metrics.DELIVERED, metrics.RETRIED),
        _lateness(watched),
        _backlog(watched),
    )
    board.add_widgets(
        _destination(watched),
        _sums(
            watched,
            "Given up or sent twice",
            metrics.REJECTED,
            metrics.DEAD_LETTERED,
            metrics.AMBIGUOUS,
            metrics.DUPLICATES,
            metrics.REDRIVEN,
        ),
        _hands(watched),
    )
    return board


def _sums(watched: Watched, title: str, *metrics: Metric) -> cloudwatch.GraphWidget:
    return _graph(title, *(watched.relay(metric, "Sum") for metric in metrics))


def _lateness(watched: Watched) -> cloudwatch.GraphWidget:
    return _graph(
        "From first sent to accepted, s",
        *(watched.relay(metrics.END_TO_END_AGE, stat) for stat in ("p50", "p95", "p99")),
    )


def _backlog(watched: Watched) -> cloudwatch.GraphWidget:
    return _graph(
        "Messages waiting, in flight, dead",
        watched.queue("ApproximateNumberOfMessagesVisible", "Average"),
        watched.queue("ApproximateNumberOfMessagesNotVisible", "Average"),
        watched.dead_letters("ApproximateNumberOfMessagesVisible", "Maximum"),
    )


def _destination(watched: Watched) -> cloudwatch.GraphWidget:
    return _graph(
        "The destination: latency s, circuit",
        *(watched.relay(metrics.FORWARD_LATENCY, stat) for stat in ("p50", "p99")),
        watched.relay(metrics.CIRCUIT_STATE, "Maximum"),
    )


def _hands(watched: Watched) -> cloudwatch.GraphWidget:
    return _graph(
        "In hand, batch size",
        watched.relay(metrics.IN_HAND, "Average"),
        watched.relay(metrics.BATCH_SIZE, "Average"),
        watched.relay(metrics.LATE_DELETES, "Sum"),
        watched.relay(metrics.TELEMETRY_FAILURES, "Sum"),
    )


def _graph(title: str, *metrics: cloudwatch.Metric) -> cloudwatch.GraphWidget:
    return cloudwatch.GraphWidget(title=title, left=list(metrics), width=COLUMN)
