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
        return _aws("AWS/SQS", name, stat, period, QueueName=self.queue)

    def dead_letters(self, name: str, stat: str, period: float = MINUTE) -> cloudwatch.Metric:
        """One of SQS's metrics of the dead-letter queue."""
        return _aws("AWS/SQS", name, stat, period, QueueName=self.dead_letter_queue)

    def function(self, name: str, stat: str, period: float = MINUTE) -> cloudwatch.Metric:
        """One of Lambda's metrics of the function, which is named like the service."""
        return _aws("AWS/Lambda", name, stat, period, FunctionName=self.service)

    def tasks(self, name: str, stat: str, period: float = MINUTE) -> cloudwatch.Metric:
        """One of ECS's metrics of the service, which is named like its cluster."""
        names = {"ClusterName": self.service, "ServiceName": self.service}
        return _aws("AWS/ECS", name, stat, period, **names)

    def balancer(self, name: str, metric: str, stat: str) -> cloudwatch.Metric:
        """One of the metrics of the load balancer with this name."""
        return _aws("AWS/ApplicationELB", metric, stat, MINUTE, LoadBalancer=name)


def math_expression(
    expression: str, label: str, period: float, **metrics: cloudwatch.IMetric
) -> cloudwatch.MathExpression:
    """A value computed by CloudWatch. The expression refers to the metrics by keyword."""
    return cloudwatch.MathExpression(
        expression=expression, label=label, using_metrics=metrics, period=whole_seconds(period)
    )


def _aws(
    namespace: str, name: str, stat: str, period: float, **dimensions: str
) -> cloudwatch.Metric:
    return cloudwatch.Metric(
        namespace=namespace,
        metric_name=name,
        dimensions_map=dimensions,
        statistic=stat,
        period=whole_seconds(period),
    )
