"""Findings of cdk-nag that stand, each where it stands and with the reason why."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import aws_cdk as cdk
from constructs import IConstruct

from cdk.stack import RelayStack
from cdk.worker import Worker

HERE = "<AWS::Region>:<AWS::AccountId>"
ANY = "AwsSolutions-IAM5[Resource::*]"
NO_RESOURCES = "CloudWatch knows no resources for this; a condition names the namespace"
MANAGED = "AwsSolutions-IAM4[Policy::arn:<AWS::Partition>:iam::aws:policy/{}]"
AWS_OWNED = "AWS keeps this policy in step with what Elastic Beanstalk's own service does"


def acknowledge(stack: RelayStack) -> None:
    """Tell cdk-nag what was weighed and kept."""
    for construct, reasons in _findings(stack):
        for ident, reason in reasons.items():
            cdk.Validations.of(construct).acknowledge(cdk.Acknowledgment(id=ident, reason=reason))


def _findings(stack: RelayStack) -> Iterator[tuple[IConstruct, Mapping[str, str]]]:
    rotation = {"AwsSolutions-SMG4": "the orchestrator issues its keys, and only it rotates them"}
    for secret in (stack.event_key, stack.signing_key):
        if secret:
            yield secret, rotation
    group = f"arn:<AWS::Partition>:logs:{HERE}:log-group:{stack.options.log_group}:*"
    streams = {f"AwsSolutions-IAM5[Resource::{group}]": "all streams of this one log group"}
    yield stack.policies["RelayPolicy"], {ANY: NO_RESOURCES, **streams}
    yield (
        stack.policies["OperatorPolicy"],
        {ANY: "reading metrics and alarms has no resources in CloudWatch", **streams},
    )
    if stack.worker:
        yield from _of_worker(stack.worker, stack.options.name)


def _of_worker(worker: Worker, name: str) -> Iterator[tuple[IConstruct, Mapping[str, str]]]:
    partition = "arn:<AWS::Partition>"
    names = {
        f"{partition}:dynamodb:{HERE}:table/*-stack-AWSEBWorkerCronLeaderRegistry*": (
            "Elastic Beanstalk makes this table and names it"
        ),
        f"{partition}:logs:{HERE}:log-group:/aws/elasticbeanstalk/{name}/*": (
            "the platform makes a group for each of its log files"
        ),
        f"{partition}:s3:::elasticbeanstalk-<AWS::Region>-<AWS::AccountId>/*": (
            "Elastic Beanstalk's own bucket of this account, whose keys it chooses"
        ),
    }
    found = {f"AwsSolutions-IAM5[Resource::{arn}]": reason for arn, reason in names.items()}
    yield worker.role, {ANY: NO_RESOURCES, **found}
    yield (
        worker.service_role,
        {
            MANAGED.format("service-role/AWSElasticBeanstalkEnhancedHealth"): AWS_OWNED,
            MANAGED.format("AWSElasticBeanstalkManagedUpdatesCustomerRolePolicy"): AWS_OWNED,
        },
    )
    yield (
        worker.environment,
        {"AwsSolutions-EB1": "without a VPC by context it is the account's default one"},
    )
