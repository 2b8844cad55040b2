"""The findings of cdk-nag that are accepted, each with its resource and the reason."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import aws_cdk as cdk
from aws_cdk import aws_ecs as ecs
from constructs import IConstruct

from relay.delivery.dead_letter_bucket import PREFIX
from relay.publishing.large_payloads import PREFIX as STORED
from relay_cdk.fargate import Fargate
from relay_cdk.gateway import GatewayHost
from relay_cdk.gateway_service import GatewayService
from relay_cdk.lambda_function import Function
from relay_cdk.needs import Needs
from relay_cdk.network import Network
from relay_cdk.permissions import executions_of
from relay_cdk.platform_permissions import PUBLISHED_LOGS, SCALING_GROUP_PREFIXES, SCALING_GROUPS
from relay_cdk.relay import Relay
from relay_cdk.task import Task
from relay_cdk.worker import Worker

HERE = "<AWS::Region>:<AWS::AccountId>"
ANY = "AwsSolutions-IAM5[Resource::*]"
NO_RESOURCES = "CloudWatch has no resources for this action; a condition names the namespace"
MANAGED = "AwsSolutions-IAM4[Policy::arn:<AWS::Partition>:iam::aws:policy/{}]"
AWS_OWNED = "AWS keeps this policy up to date with what Elastic Beanstalk does"


def acknowledge(relay: Relay) -> None:
    """Acknowledge all accepted findings to cdk-nag."""
    for construct, reasons in _findings(relay):
        for ident, reason in reasons.items():
            cdk.Validations.of(construct).acknowledge(cdk.Acknowledgment(id=ident, reason=reason))


def _findings(relay: Relay) -> Iterator[tuple[IConstruct, Mapping[str, str]]]:
    rotation = {
        "AwsSolutions-SMG4": "the orchestrator issues its keys, and only it can rotate them"
    }
    own = [relay.gateway.new_secret] if relay.gateway and relay.gateway.new_secret else []
    for secret in (*relay.new_secrets, *own):
        yield secret, rotation
    group = f"arn:<AWS::Partition>:logs:{HERE}:log-group:{relay.log_group}:*"
    streams = {f"AwsSolutions-IAM5[Resource::{group}]": "all streams of this one log group"}
    destination = dict(_destination_findings(relay.needs))
    yield relay.relay_policy, {ANY: NO_RESOURCES, **streams, **destination}
    yield (
        relay.operator_policy,
        {ANY: "CloudWatch has no resources for reading metrics", **streams, **destination},
    )
    if relay.gateway:
        yield from _gateway_findings(relay.gateway, group)
    if relay.worker:
        yield from _worker_findings(relay.worker, relay.options.name)
    if relay.fargate:
        yield from _fargate_findings(relay.fargate)
    if relay.function:
        yield from _function_findings(relay.function, group)


def _destination_findings(needs: Needs) -> Iterator[tuple[str, str]]:
    for bucket in needs.payload_buckets:
        objects = f"arn:<AWS::Partition>:s3:::{bucket}/*"
        yield f"AwsSolutions-IAM5[Resource::{objects}]", "a message names the object to read"
    if needs.dead_letter_bucket:
        bodies = f"arn:<AWS::Partition>:s3:::{needs.dead_letter_bucket}/{PREFIX}*"
        yield f"AwsSolutions-IAM5[Resource::{bodies}]", "the hash of a body names its object"
    if needs.state_machine:
        executions = executions_of(needs.state_machine)
        yield f"AwsSolutions-IAM5[Resource::{executions}]", "an execution is named by its event"


def _worker_findings(worker: Worker, name: str) -> Iterator[tuple[IConstruct, Mapping[str, str]]]:
    partition = "arn:<AWS::Partition>"
    names = {
        f"{partition}:dynamodb:{HERE}:table/*-stack-AWSEBWorkerCronLeaderRegistry*": (
            "Elastic Beanstalk creates this table and chooses its name"
        ),
        f"{partition}:logs:{HERE}:log-group:/aws/elasticbeanstalk/{name}/*": (
            "the platform creates a group for each of its log files"
        ),
        f"{partition}:s3:::elasticbeanstalk-<AWS::Region>-<AWS::AccountId>/*": (
            "Elastic Beanstalk's own bucket in this account, whose object keys it chooses"
        ),
        f"{partition}:s3:::elasticbeanstalk-<AWS::Region>-<AWS::AccountId>/{PUBLISHED_LOGS}/*": (
            "the platform chooses the names of the logs that it publishes"
        ),
    }
    wildcards = {f"AwsSolutions-IAM5[Resource::{arn}]": reason for arn, reason in names.items()}
    yield worker.role, {ANY: NO_RESOURCES, **wildcards}
    group = f"{partition}:autoscaling:{HERE}:{SCALING_GROUPS}"
    groups = {
        f"AwsSolutions-IAM5[Resource::{group}/{prefix}-*]": "Elastic Beanstalk chooses the name"
        for prefix in SCALING_GROUP_PREFIXES
    }
    yield (
        worker.service_role,
        {
            **groups,
            MANAGED.format("service-role/AWSElasticBeanstalkEnhancedHealth"): AWS_OWNED,
            MANAGED.format("AWSElasticBeanstalkManagedUpdatesCustomerRolePolicy"): AWS_OWNED,
        },
    )
    yield (
        worker.environment,
        {"AwsSolutions-EB1": "without the option vpc the account's default VPC is used"},
    )


def _fargate_findings(fargate: Fargate) -> Iterator[tuple[IConstruct, Mapping[str, str]]]:
    yield from _task_findings(fargate.task, fargate.cluster, fargate.network)


def _task_findings(
    task: Task, cluster: ecs.CfnCluster, network: Network | None
) -> Iterator[tuple[IConstruct, Mapping[str, str]]]:
    yield task.execution_role, {ANY: "a token for ECR has no resource"}
    yield (
        task.definition,
        {"AwsSolutions-ECS2": "names and ARNs only; keys are looked up in Secrets Manager"},
    )
    yield (
        cluster,
        {"AwsSolutions-ECS4": "alarms and dashboard use the relay's own metrics"},
    )
    if network:
        yield (
            network.vpc,
            {"AwsSolutions-VPC7": "no connection is accepted; flow logs cost by the gigabyte"},
        )


def _gateway_findings(
    gateway: GatewayHost, streams: str
) -> Iterator[tuple[IConstruct, Mapping[str, str]]]:
    bucket = f"arn:<AWS::Partition>:s3:::{gateway.needs.bucket}/{STORED}*"
    yield (
        gateway.policy,
        {
            ANY: NO_RESOURCES,
            f"AwsSolutions-IAM5[Resource::{bucket}]": "the hash of an event names its object",
        },
    )
    if gateway.service:
        yield from _service_findings(gateway.service)
    if gateway.function:
        yield (
            gateway.function.role,
            {f"AwsSolutions-IAM5[Resource::{streams}]": "all streams of this one log group"},
        )
        yield (
            gateway.function.function,
            {"AwsSolutions-L1": "the option python chooses the runtime, of which AWS patches each"},
        )


def _service_findings(
    service: GatewayService,
) -> Iterator[tuple[IConstruct, Mapping[str, str]]]:
    yield from _task_findings(service.task, service.cluster, service.network)
    yield (
        service.balancer,
        {"AwsSolutions-ELB2": "the paths in an access log would contain the event keys"},
    )
    yield (
        service.balancer_group,
        {"AwsSolutions-EC23": "producers may be anywhere; each request needs an event key"},
    )


def _function_findings(
    function: Function, streams: str
) -> Iterator[tuple[IConstruct, Mapping[str, str]]]:
    yield (
        function.role,
        {
            f"AwsSolutions-IAM5[Resource::{streams}]": "all streams of this one log group",
            ANY: "Lambda chooses the names of the network interfaces in the VPC",
        },
    )
    yield (
        function.function,
        {"AwsSolutions-L1": "the option python chooses the runtime, of which AWS patches each"},
    )
