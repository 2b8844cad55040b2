"""The gateway on Fargate: a service of `relay gateway` behind an Application Load Balancer."""

from __future__ import annotations

import math
from collections.abc import Sequence

from aws_cdk import aws_applicationautoscaling as autoscaling
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_ecs as ecs
from aws_cdk import aws_elasticloadbalancingv2 as balancing
from constructs import Construct

from relay_cdk.fargate import SCALE_IN_COOLDOWN, SCALE_OUT_COOLDOWN, deployment
from relay_cdk.network import Network, Placement, by_id, outbound_only
from relay_cdk.options import Options
from relay_cdk.task import HEALTH_PORT, Task
from relay_cdk.workload import Workload

PORT = int(HEALTH_PORT)

HEALTH_PATH = "/started"
"""503 until the queue is open, so that no task without a way to SQS gets requests, and a deployment
of such tasks is rolled back. Then 200 whatever SQS does: an outage must replace no task, and the
gateway's own 503 is one that each SDK repeats. `/ready` would stay 503 without requests, and
`/health` would be 200 too early."""

IDLE_TIMEOUT = 60
"""Seconds. Below the gateway's own keep-alive of 120, so that the balancer never sends a request
into a connection that the gateway is closing: it would answer 502."""

CPU_TARGET = 50
"""Percent. Requests differ in their events, so their number says less than the processor."""

SHORTEST_DELAY = 10
TLS_POLICY = "ELBSecurityPolicy-TLS13-1-2-2021-06"


def deregistration_delay(timeout: float) -> int:
    """Seconds in which a task that leaves finishes its requests before it gets SIGTERM.

    A request takes `timeout` from its last byte to its answer; bodies of 8 MiB take a few more.
    """
    return max(SHORTEST_DELAY, math.ceil(2 * timeout))


class GatewayService(Construct):
    """A load balancer, and a service of tasks that only it can reach."""

    def __init__(
        self,
        scope: Construct,
        ident: str,
        options: Options,
        *,
        workload: Workload,
        network: Network | None,
        timeout: float,
    ) -> None:
        super().__init__(scope, ident)
        self._options = options
        self.task = Task(
            self,
            "Task",
            options,
            command=["gateway"],
            workload=workload,
            family=options.gateway_name,
            serves=True,
        )
        self.network = None if workload.placement or network else self._new_network(workload)
        used = network or self.network
        placement = workload.placement or (used.placement if used else None)
        assert placement  # noqa: S101 - without one there is a network
        vpc = used.vpc if used else by_id(self, placement)
        self.balancer_group = self._balancer_group(vpc)
        tasks = self._task_group(vpc)
        groups = [tasks, used.security_group] if used else [tasks]
        self.balancer = self._balancer(placement)
        self.target = self._target(placement.vpc, timeout)
        listener = self._listener()
        self.cluster = ecs.CfnCluster(self, "Cluster", cluster_name=options.gateway_name)
        self.service = self._service(placement, groups)
        # The target group must have its balancer before a task can be registered.
        self.service.node.add_dependency(listener, self.task.permissions)
        if used:
            self.service.node.add_dependency(*used.connectivity)
            self.balancer.node.add_dependency(*used.connectivity)
        self._scale()

    @property
    def url(self) -> str:
        """Where SDKs send. With a certificate it must be a name that the certificate has."""
        scheme = "https" if self._options.gateway_certificate else "http"
        return f"{scheme}://{self.balancer.attr_dns_name}"

    def _new_network(self, workload: Workload) -> Network:
        public = self._options.public_addresses
        return Network(self, "Network", public_addresses=public, more=workload.endpoints)

    def _balancer_group(self, vpc: ec2.IVpc) -> ec2.SecurityGroup:
        group = ec2.SecurityGroup(
            self, "Balancer", vpc=vpc, description="Producers", allow_all_outbound=False
        )
        port = 443 if self._options.gateway_certificate else 80
        group.add_ingress_rule(ec2.Peer.any_ipv4(), ec2.Port.tcp(port), "Producers")
        return group

    def _task_group(self, vpc: ec2.IVpc) -> ec2.SecurityGroup:
        group = outbound_only(self, "Tasks", vpc, "Tasks of the gateway, besides its balancer")
        group.add_ingress_rule(self.balancer_group, ec2.Port.tcp(PORT), "The load balancer")
        self.balancer_group.add_egress_rule(group, ec2.Port.tcp(PORT), "The tasks")
        return group

    def _balancer(self, placement: Placement) -> balancing.CfnLoadBalancer:
        attributes = {
            "idle_timeout.timeout_seconds": f"{IDLE_TIMEOUT}",
            "routing.http.drop_invalid_header_fields.enabled": "true",
        }
        return balancing.CfnLoadBalancer(
            self,
            "LoadBalancer",
            scheme="internal" if self._options.gateway_internal else "internet-facing",
            subnets=list(self._options.gateway_subnets or placement.subnets),
            security_groups=[self.balancer_group.security_group_id],
            load_balancer_attributes=[
                balancing.CfnLoadBalancer.LoadBalancerAttributeProperty(key=key, value=value)
                for key, value in attributes.items()
            ],
        )

    def _target(self, vpc: str, timeout: float) -> balancing.CfnTargetGroup:
        return balancing.CfnTargetGroup(
            self,
            "Target",
            vpc_id=vpc,
            port=PORT,
            protocol="HTTP",
            target_type="ip",
            health_check_path=HEALTH_PATH,
            health_check_interval_seconds=10,
            health_check_timeout_seconds=5,
            healthy_threshold_count=2,
            unhealthy_threshold_count=3,
            target_group_attributes=[
                balancing.CfnTargetGroup.TargetGroupAttributeProperty(
                    key="deregistration_delay.timeout_seconds",
                    value=f"{deregistration_delay(timeout)}",
                )
            ],
        )

    def _listener(self) -> balancing.CfnListener:
        kind, arn = balancing.CfnListener, self._options.gateway_certificate
        return kind(
            self,
            "Listener",
            load_balancer_arn=self.balancer.ref,
            port=443 if arn else 80,
            protocol="HTTPS" if arn else "HTTP",
            ssl_policy=TLS_POLICY if arn else None,
            certificates=[kind.CertificateProperty(certificate_arn=arn)] if arn else None,
            default_actions=[kind.ActionProperty(type="forward", target_group_arn=self.target.ref)],
        )

    def _service(
        self, placement: Placement, groups: Sequence[ec2.ISecurityGroup]
    ) -> ecs.CfnService:
        kind = ecs.CfnService
        return kind(
            self,
            "Service",
            cluster=self.cluster.ref,
            service_name=self._options.gateway_name,
            task_definition=self.task.definition.task_definition_arn,
            launch_type="FARGATE",
            deployment_configuration=deployment(),
            # A task opens the queue within seconds; until then its health checks fail.
            health_check_grace_period_seconds=60,
            load_balancers=[
                kind.LoadBalancerProperty(
                    container_name="relay", container_port=PORT, target_group_arn=self.target.ref
                )
            ],
            network_configuration=kind.NetworkConfigurationProperty(
                awsvpc_configuration=kind.AwsVpcConfigurationProperty(
                    subnets=list(placement.subnets),
                    security_groups=[group.security_group_id for group in groups],
                    assign_public_ip="ENABLED" if placement.public_addresses else "DISABLED",
                )
            ),
            propagate_tags="SERVICE",
            enable_ecs_managed_tags=True,
        )

    def _scale(self) -> None:
        policy = autoscaling.CfnScalingPolicy
        target = autoscaling.CfnScalableTarget(
            self,
            "Count",
            min_capacity=self._options.gateway_min,
            max_capacity=self._options.gateway_max,
            resource_id=f"service/{self.cluster.ref}/{self.service.attr_name}",
            scalable_dimension="ecs:service:DesiredCount",
            service_namespace="ecs",
        )
        policy(
            self,
            "Processor",
            policy_name=f"{self._options.gateway_name}-cpu",
            policy_type="TargetTrackingScaling",
            scaling_target_id=target.ref,
            target_tracking_scaling_policy_configuration=policy.TargetTrackingScalingPolicyConfigurationProperty(
                target_value=CPU_TARGET,
                scale_out_cooldown=SCALE_OUT_COOLDOWN,
                scale_in_cooldown=SCALE_IN_COOLDOWN,
                predefined_metric_specification=policy.PredefinedMetricSpecificationProperty(
                    predefined_metric_type="ECSServiceAverageCPUUtilization"
                ),
            ),
        )
