"""The dashboard: alarms, throughput, latency, the destination, and errors."""

from __future__ import annotations

from aws_cdk import aws_cloudwatch as cloudwatch
from constructs import Construct

from relay.telemetry import metrics
from relay.telemetry.metrics import Metric
from relay_cdk.alarms import Alarms
from relay_cdk.deployment_metrics import DeploymentMetrics
from relay_cdk.options import Options

FULL_WIDTH = 24
COLUMN = 8


def dashboard(
    scope: Construct, options: Options, deployment: DeploymentMetrics, alarms: Alarms
) -> cloudwatch.Dashboard:
    """Alarms on top, then throughput, latency, backlog, the destination, errors, and the host."""
    board = cloudwatch.Dashboard(scope, "Dashboard", dashboard_name=options.name)
    board.add_widgets(
        cloudwatch.AlarmStatusWidget(
            title="Alarms", alarms=[alarms.behind, *alarms.alarms.values()], width=FULL_WIDTH
        )
    )
    board.add_widgets(
        _sums(deployment, "Throughput", metrics.RECEIVED, metrics.DELIVERED, metrics.RETRIED),
        _latency(deployment),
        _backlog(deployment),
    )
    board.add_widgets(
        _destination(deployment),
        _sums(
            deployment,
            "Rejected, dead-lettered, duplicate, redriven",
            metrics.REJECTED,
            metrics.DEAD_LETTERED,
            metrics.AMBIGUOUS,
            metrics.DUPLICATES,
            metrics.REDRIVEN,
        ),
        _internals(deployment),
    )
    if options.worker == "fargate":
        board.add_widgets(*_tasks(deployment, options))
    if options.worker == "lambda":
        board.add_widgets(*_function(deployment))
    return board


def _tasks(
    deployment: DeploymentMetrics, options: Options
) -> tuple[cloudwatch.GraphWidget, cloudwatch.GraphWidget]:
    running = deployment.relay(metrics.HEARTBEAT, "Sum")
    title = f"Tasks, at most {options.max_instances}"
    processor = (deployment.tasks("CPUUtilization", stat) for stat in ("Average", "Maximum"))
    memory = deployment.tasks("MemoryUtilization", "Maximum")
    return _graph(title, running), _graph("CPU and memory of the tasks, %", *processor, memory)


def _function(
    deployment: DeploymentMetrics,
) -> tuple[cloudwatch.GraphWidget, cloudwatch.GraphWidget]:
    counts = (deployment.function(name, "Sum") for name in ("Invocations", "Errors", "Throttles"))
    return (
        _graph("Invocations, errors, throttles", *counts),
        _graph(
            "Duration in ms, concurrency",
            *(deployment.function("Duration", stat) for stat in ("p50", "p99")),
            deployment.function("ConcurrentExecutions", "Maximum"),
        ),
    )


def _sums(deployment: DeploymentMetrics, title: str, *metrics: Metric) -> cloudwatch.GraphWidget:
    return _graph(title, *(deployment.relay(metric, "Sum") for metric in metrics))


def _latency(deployment: DeploymentMetrics) -> cloudwatch.GraphWidget:
    return _graph(
        "From first send to accepted, s",
        *(deployment.relay(metrics.END_TO_END_AGE, stat) for stat in ("p50", "p95", "p99")),
    )


def _backlog(deployment: DeploymentMetrics) -> cloudwatch.GraphWidget:
    return _graph(
        "Messages waiting, in flight, dead-lettered",
        deployment.of_queue("ApproximateNumberOfMessagesVisible", "Average"),
        deployment.of_queue("ApproximateNumberOfMessagesNotVisible", "Average"),
        deployment.dead_letters("ApproximateNumberOfMessagesVisible", "Maximum"),
    )


def _destination(deployment: DeploymentMetrics) -> cloudwatch.GraphWidget:
    return _graph(
        "Destination: latency in s, circuit state; paused",
        *(deployment.relay(metrics.FORWARD_LATENCY, stat) for stat in ("p50", "p99")),
        deployment.relay(metrics.CIRCUIT_STATE, "Maximum"),
        deployment.relay(metrics.PAUSED, "Maximum"),
    )


def _internals(deployment: DeploymentMetrics) -> cloudwatch.GraphWidget:
    return _graph(
        "In flight, batch size, failures",
        deployment.relay(metrics.IN_FLIGHT, "Average"),
        deployment.relay(metrics.BATCH_SIZE, "Average"),
        deployment.relay(metrics.LATE_DELETES, "Sum"),
        deployment.relay(metrics.TELEMETRY_FAILURES, "Sum"),
    )


def _graph(title: str, *metrics: cloudwatch.Metric) -> cloudwatch.GraphWidget:
    return cloudwatch.GraphWidget(title=title, left=list(metrics), width=COLUMN)
