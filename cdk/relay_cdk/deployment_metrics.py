"""The metrics that alarms and dashboard read: the relay's own and the queues'."""

from __future__ import annotations

from dataclasses import dataclass

from aws_cdk import aws_cloudwatch as cloudwatch

from relay.telemetry import metrics
from relay.telemetry.metrics import Metric
from relay_cdk.queues import whole_seconds

MINUTE = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class DeploymentMetrics:
    """The metrics of one deployment, by the names of its service and queues."""

    service: str
    queue: str
    dead_letter_queue: str

    def relay(self, metric: Metric, stat: str, period: float = MINUTE) -> cloudwatch.Metric:
        """One of the relay's metrics, with the dimensions that the relay reports."""
        values = dict(zip(metrics.DIMENSIONS, (self.service, self.queue), strict=True))
        return cloudwatch.Metric(
            namespace=metrics.NAMESPACE,
            metric_name=metric.name,
            dimensions_map=values,
            statistic=stat,
            period=whole_seconds(period),
        )

    def of_queue(self, name: str, stat: str, period: float = MINUTE) -> cloudwatch.Metric:
        """One of SQS's metrics of the main queue."""
        return _sqs(self.queue, name, stat, period)

    def dead_letters(self, name: str, stat: str, period: float = MINUTE) -> cloudwatch.Metric:
        """One of SQS's metrics of the dead-letter queue."""
        return _sqs(self.dead_letter_queue, name, stat, period)


def math_expression(
    expression: str, label: str, period: float, **metrics: cloudwatch.IMetric
) -> cloudwatch.MathExpression:
    """A value computed by CloudWatch. The expression refers to the metrics by keyword."""
    return cloudwatch.MathExpression(
        expression=expression, label=label, using_metrics=metrics, period=whole_seconds(period)
    )


def _sqs(queue: str, name: str, stat: str, period: float) -> cloudwatch.Metric:
    return cloudwatch.Metric(
        namespace="AWS/SQS",
        metric_name=name,
        dimensions_map={"QueueName": queue},
        statistic=stat,
        period=whole_seconds(period),
    )
