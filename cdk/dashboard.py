"""One screen: how much, how late, which way, why."""

from __future__ import annotations

from aws_cdk import aws_cloudwatch as cloudwatch
from constructs import Construct

from cdk.alarms import Alarms
from cdk.deployment_metrics import DeploymentMetrics
from cdk.options import Options
from relay.telemetry import metrics
from relay.telemetry.metrics import Metric

FULL_WIDTH = 24
COLUMN = 8


def dashboard(scope: Construct, options: Options, alarms: Alarms) -> cloudwatch.Dashboard:
    """Alarms on top, then flow, lateness, the destination, and what went wrong."""
    deployment = DeploymentMetrics(options)
    board = cloudwatch.Dashboard(scope, "Dashboard", dashboard_name=options.name)
    board.add_widgets(
        cloudwatch.AlarmStatusWidget(
            title="Alarms", alarms=[alarms.behind, *alarms.alarms.values()], width=FULL_WIDTH
        )
    )
    board.add_widgets(
        _sums(deployment, "Flow", metrics.RECEIVED, metrics.DELIVERED, metrics.RETRIED),
        _lateness(deployment),
        _backlog(deployment),
    )
    board.add_widgets(
        _destination(deployment),
        _sums(
            deployment,
            "Given up or sent twice",
            metrics.REJECTED,
            metrics.DEAD_LETTERED,
            metrics.AMBIGUOUS,
            metrics.DUPLICATES,
            metrics.REDRIVEN,
        ),
        _hands(deployment),
    )
    return board


def _sums(deployment: DeploymentMetrics, title: str, *metrics: Metric) -> cloudwatch.GraphWidget:
    return _graph(title, *(deployment.relay(metric, "Sum") for metric in metrics))


def _lateness(deployment: DeploymentMetrics) -> cloudwatch.GraphWidget:
    return _graph(
        "From first sent to accepted, s",
        *(deployment.relay(metrics.END_TO_END_AGE, stat) for stat in ("p50", "p95", "p99")),
    )


def _backlog(deployment: DeploymentMetrics) -> cloudwatch.GraphWidget:
    return _graph(
        "Messages waiting, in flight, dead",
        deployment.queue("ApproximateNumberOfMessagesVisible", "Average"),
        deployment.queue("ApproximateNumberOfMessagesNotVisible", "Average"),
        deployment.dead_letters("ApproximateNumberOfMessagesVisible", "Maximum"),
    )


def _destination(deployment: DeploymentMetrics) -> cloudwatch.GraphWidget:
    return _graph(
        "The destination: latency s, circuit",
        *(deployment.relay(metrics.FORWARD_LATENCY, stat) for stat in ("p50", "p99")),
        deployment.relay(metrics.CIRCUIT_STATE, "Maximum"),
    )


def _hands(deployment: DeploymentMetrics) -> cloudwatch.GraphWidget:
    return _graph(
        "In hand, batch size",
        deployment.relay(metrics.IN_FLIGHT, "Average"),
        deployment.relay(metrics.BATCH_SIZE, "Average"),
        deployment.relay(metrics.LATE_DELETES, "Sum"),
        deployment.relay(metrics.TELEMETRY_FAILURES, "Sum"),
    )


def _graph(title: str, *metrics: cloudwatch.Metric) -> cloudwatch.GraphWidget:
    return cloudwatch.GraphWidget(title=title, left=list(metrics), width=COLUMN)
