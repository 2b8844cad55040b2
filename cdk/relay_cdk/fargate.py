"""The relay on Fargate: a service of `relay poll`, scaled by the backlog of each task."""

from __future__ import annotations

from collections.abc import Mapping

from aws_cdk import aws_applicationautoscaling as autoscaling
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_ecs as ecs
from constructs import Construct

from relay.telemetry import metrics
from relay_cdk.network import Network, Placement, by_id, outbound_only
from relay_cdk.options import Options
from relay_cdk.task import Task
from relay_cdk.workload import Workload

SCALE_OUT_COOLDOWN = 60
SCALE_IN_COOLDOWN = 300
"""Seconds. A backlog comes and goes faster than tasks should."""


class Fargate(Construct):
    """A cluster with one service that receives from the queue and has no open port."""

    def __init__(
        self,
        scope: Construct,
        ident: str,
        options: Options,
        *,
        queue_name: str,
        workload: Workload,
    ) -> None:
        super().__init__(scope, ident)
        self.task = Task(self, "Task", options, command=["poll"], workload=workload)
        self.network = None if workload.placement else self._new_network(workload, options)
        self.cluster = ecs.CfnCluster(self, "Cluster", cluster_name=options.name)
        self.service = ecs.CfnService(
            self,
            "Service",
            cluster=self.cluster.ref,
            service_name=options.name,
            task_definition=self.task.definition.task_definition_arn,
            launch_type="FARGATE",
            # No desired count: a deployment keeps the number of tasks that scaling has set.
            deployment_configuration=deployment(),
            network_configuration=self._network_configuration(workload),
            propagate_tags="SERVICE",
            enable_ecs_managed_tags=True,
        )
        # Tasks need their permissions and a way to AWS from the start.
        self.service.node.add_dependency(self.task.permissions)
        if self.network:
            self.service.node.add_dependency(*self.network.connectivity)
        self._scale(options, queue_name)

    def _new_network(self, workload: Workload, options: Options) -> Network:
        return Network(
            self, "Network", public_addresses=options.public_addresses, more=workload.endpoints
        )

    def _placed(self, workload: Workload) -> tuple[Placement, ec2.ISecurityGroup]:
        if self.network:
            return self.network.placement, self.network.security_group
        placement = workload.placement
        assert placement  # noqa: S101 - without one there is a new network
        group = outbound_only(self, "Tasks", by_id(self, placement), "Tasks of the relay")
        return placement, group

    def _network_configuration(
        self, workload: Workload
    ) -> ecs.CfnService.NetworkConfigurationProperty:
        placement, group = self._placed(workload)
        return ecs.CfnService.NetworkConfigurationProperty(
            awsvpc_configuration=ecs.CfnService.AwsVpcConfigurationProperty(
                subnets=list(placement.subnets),
                security_groups=[group.security_group_id],
                assign_public_ip="ENABLED" if placement.public_addresses else "DISABLED",
            )
        )

    def _scale(self, options: Options, queue_name: str) -> None:
        target = autoscaling.CfnScalableTarget(
            self,
            "Count",
            min_capacity=options.min_instances,
            max_capacity=options.max_instances,
            resource_id=f"service/{self.cluster.ref}/{self.service.attr_name}",
            scalable_dimension="ecs:service:DesiredCount",
            service_namespace="ecs",
        )
        tracking = autoscaling.CfnScalingPolicy.TargetTrackingScalingPolicyConfigurationProperty(
            target_value=options.backlog_per_task,
            scale_out_cooldown=SCALE_OUT_COOLDOWN,
            scale_in_cooldown=SCALE_IN_COOLDOWN,
            customized_metric_specification=autoscaling.CfnScalingPolicy.CustomizedMetricSpecificationProperty(
                metrics=backlog_of_a_task(options, queue_name)
            ),
        )
        autoscaling.CfnScalingPolicy(
            self,
            "Backlog",
            policy_name=f"{options.name}-backlog",
            policy_type="TargetTrackingScaling",
            scaling_target_id=target.ref,
            target_tracking_scaling_policy_configuration=tracking,
        )


def deployment() -> ecs.CfnService.DeploymentConfigurationProperty:
    """A new task before an old one goes, and back if the new ones do not become healthy."""
    return ecs.CfnService.DeploymentConfigurationProperty(
        minimum_healthy_percent=100,
        maximum_percent=200,
        deployment_circuit_breaker=ecs.CfnService.DeploymentCircuitBreakerProperty(
            enable=True, rollback=True
        ),
    )


def backlog_of_a_task(
    options: Options, queue_name: str
) -> list[autoscaling.CfnScalingPolicy.TargetTrackingMetricDataQueryProperty]:
    """Messages waiting and in flight for each task.

    While the circuit is not closed, or the queue is paused, more tasks would deliver no more: the
    value is then the target itself, at which nothing is added or removed. The number of tasks is
    that of the relays that report; if none does, there is no value, and the number of tasks stays.
    """
    relay = dict(zip(metrics.DIMENSIONS, (options.name, queue_name), strict=True))
    queue = {"QueueName": queue_name}
    target = options.backlog_per_task
    waits = "FILL(circuit, 0) + FILL(paused, 0) > 0"
    return [
        autoscaling.CfnScalingPolicy.TargetTrackingMetricDataQueryProperty(
            id="backlog",
            label="Backlog of a task",
            expression=f"IF({waits}, {target}, (waiting + inflight) / tasks)",
            return_data=True,
        ),
        _query("waiting", "AWS/SQS", "ApproximateNumberOfMessagesVisible", "Average", queue),
        _query("inflight", "AWS/SQS", "ApproximateNumberOfMessagesNotVisible", "Average", queue),
        _query("circuit", metrics.NAMESPACE, metrics.CIRCUIT_STATE.name, "Maximum", relay),
        _query("paused", metrics.NAMESPACE, metrics.PAUSED.name, "Maximum", relay),
        # Each relay reports once in the minute that a value covers.
        _query("tasks", metrics.NAMESPACE, metrics.HEARTBEAT.name, "Sum", relay),
    ]


def _query(
    ident: str, namespace: str, name: str, stat: str, dimensions: Mapping[str, str]
) -> autoscaling.CfnScalingPolicy.TargetTrackingMetricDataQueryProperty:
    policy = autoscaling.CfnScalingPolicy
    metric = policy.TargetTrackingMetricProperty(
        namespace=namespace,
        metric_name=name,
        dimensions=[
            policy.TargetTrackingMetricDimensionProperty(name=n, value=v)
            for n, v in dimensions.items()
        ],
    )
    return policy.TargetTrackingMetricDataQueryProperty(
        id=ident,
        return_data=False,
        metric_stat=policy.TargetTrackingMetricStatProperty(metric=metric, stat=stat),
    )
