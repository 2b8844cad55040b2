"""Metrics as alarms and the dashboard read them: the relay's own and the queues'."""

from __future__ import annotations

from dataclasses import dataclass

import aws_cdk as cdk
from aws_cdk import aws_cloudwatch as cloudwatch

from cdk.options import Options
from relay.telemetry import metrics
from relay.telemetry.metrics import Metric

MINUTE = 60.0


@dataclass(frozen=True, slots=True)
class DeploymentMetrics:
    """The metrics of one deployment."""

    options: Options

    def relay(self, metric: Metric, stat: str, period: float = MINUTE) -> cloudwatch.Metric:
        """A metric of the table, under the dimensions that the emitter gives it."""
        values = dict(
            zip(metrics.DIMENSIONS, (self.options.name, self.options.queue_name), strict=True)
        )
        return cloudwatch.Metric(
            namespace=metrics.NAMESPACE,
            metric_name=metric.name,
            dimensions_map=values,
            statistic=stat,
            period=whole(period),
        )

    def queue(self, name: str, stat: str, period: float = MINUTE) -> cloudwatch.Metric:
        """One of SQS's metrics of the main queue."""
        return _sqs(self.options.queue_name, name, stat, period)

    def dead_letters(self, name: str, stat: str, period: float = MINUTE) -> cloudwatch.Metric:
        """One of SQS's metrics of the dead-letter queue."""
        return _sqs(self.options.dead_letter_queue_name, name, stat, period)


def formula(
    expression: str, label: str, period: float, **metrics: cloudwatch.IMetric
) -> cloudwatch.MathExpression:
    """A figure computed by CloudWatch; the expression speaks of the metrics by keyword."""
    return cloudwatch.MathExpression(
        expression=expression, label=label, using_metrics=metrics, period=whole(period)
    )


def whole(seconds: float) -> cdk.Duration:
    """A duration as CloudWatch wants it, in whole seconds."""
    return cdk.Duration.seconds(int(seconds))


def _sqs(queue: str, name: str, stat: str, period: float) -> cloudwatch.Metric:
    return cloudwatch.Metric(
        namespace="AWS/SQS",
        metric_name=name,
        dimensions_map={"QueueName": queue},
        statistic=stat,
        period=whole(period),
    )
