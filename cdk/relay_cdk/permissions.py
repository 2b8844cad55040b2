"""The IAM statements for the relay, the worker tier, producers and operators, with reasons."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import aws_cdk as cdk
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms

from relay.telemetry import metrics
from relay_cdk.encryption import SEND_KEY_ACTIONS


@dataclass(frozen=True, slots=True, kw_only=True)
class Resources:
    """The ARNs that the statements refer to."""

    queue: str
    dead_letter_queue: str
    ledger: str
    secrets: Sequence[str]
    log_group: str
    key: kms.IKey | None


def relay_statements(resources: Resources) -> Iterator[iam.PolicyStatement]:
    """What `relay serve` and `relay poll` need, on any host."""
    # Receive, extend and delete: done by sqsd in push mode, by `relay poll` in pull mode. Doctor,
    # status and the start-up check read the queue's attributes.
    yield _allow(
        "MainQueue",
        [resources.queue],
        "sqs:ReceiveMessage",
        "sqs:DeleteMessage",
        "sqs:ChangeMessageVisibility",
        "sqs:GetQueueAttributes",
        "sqs:GetQueueUrl",
    )
    # Copies are sent with their reason. Receiving them is left to an operator.
    yield _allow(
        "DeadLetters",
        [resources.dead_letter_queue],
        "sqs:SendMessage",
        "sqs:GetQueueAttributes",
        "sqs:GetQueueUrl",
    )
    # Entries are written unconditionally, and written and read in batches. They expire; the relay
    # deletes none.
    yield _allow(
        "Ledger",
        [resources.ledger],
        "dynamodb:BatchGetItem",
        "dynamodb:BatchWriteItem",
        "dynamodb:DescribeTable",
        "dynamodb:DescribeTimeToLive",
    )
    # Looked up at run time, so that a rotated key needs no deployment.
    yield _allow("OrchestratorKeys", list(resources.secrets), "secretsmanager:GetSecretValue")
    # CloudWatch has no resources for this; the condition restricts the role to our namespace.
    yield iam.PolicyStatement(
        sid="Metrics",
        actions=["cloudwatch:PutMetricData"],
        resources=["*"],
        conditions={"StringEquals": {"cloudwatch:namespace": metrics.NAMESPACE}},
    )
    # For the CloudWatch agent: the group exists already, the agent creates only streams in it.
    yield _allow(
        "AuditLog",
        [f"{resources.log_group}:*"],
        "logs:CreateLogStream",
        "logs:DescribeLogStreams",
        "logs:PutLogEvents",
    )
    if resources.key:
        # Decrypt received messages, encrypt dead letters and ledger entries.
        yield _allow("Key", [resources.key.key_arn], *SEND_KEY_ACTIONS)


def worker_tier_statements(name: str, queue: str) -> Iterator[iam.PolicyStatement]:
    """What Elastic Beanstalk's daemons need in the instance's role, besides `relay_statements`.

    The same as the managed policy AWSElasticBeanstalkWorkerTier, but restricted to resources with
    known names. `name` is the name of both the application and the environment.
    """
    # sqsd sends the tasks of a cron.yaml to the queue.
    yield _allow("PeriodicTasks", [queue], "sqs:SendMessage")
    # sqsd's leader election. Elastic Beanstalk creates the table and chooses its name.
    yield _allow(
        "PeriodicTaskLeader",
        [_arn("dynamodb", "table/*-stack-AWSEBWorkerCronLeaderRegistry*")],
        "dynamodb:BatchGetItem",
        "dynamodb:BatchWriteItem",
        "dynamodb:DeleteItem",
        "dynamodb:GetItem",
        "dynamodb:PutItem",
        "dynamodb:Query",
        "dynamodb:Scan",
        "dynamodb:UpdateItem",
    )
    # Without this the environment's health is "No Data".
    yield _allow(
        "Health",
        [
            _arn("elasticbeanstalk", f"application/{name}"),
            _arn("elasticbeanstalk", f"environment/{name}/{name}"),
        ],
        "elasticbeanstalk:PutInstanceStatistics",
    )
    # Metrics of sqsd and the health agent; AWS chooses their namespaces.
    yield iam.PolicyStatement(
        sid="PlatformMetrics",
        actions=["cloudwatch:PutMetricData"],
        resources=["*"],
        conditions={
            "StringLike": {"cloudwatch:namespace": ["ElasticBeanstalk*", "AWS/ElasticBeanstalk"]}
        },
    )
    # The platform's own logs, in groups that Elastic Beanstalk creates.
    yield _allow(
        "PlatformLogs",
        [_arn("logs", f"log-group:/aws/elasticbeanstalk/{name}/*")],
        "logs:CreateLogStream",
        "logs:DescribeLogStreams",
        "logs:PutLogEvents",
    )
    # The application's versions, and logs that are requested or rotated.
    bucket = f"arn:{cdk.Aws.PARTITION}:s3:::elasticbeanstalk-{cdk.Aws.REGION}-{cdk.Aws.ACCOUNT_ID}"
    yield _allow(
        "PlatformBucket",
        [bucket, f"{bucket}/*"],
        "s3:GetObject",
        "s3:GetObjectVersion",
        "s3:ListBucket",
        "s3:PutObject",
    )


def producer_statements(queue: str, key: kms.IKey | None) -> Iterator[iam.PolicyStatement]:
    """What a producer needs to publish."""
    yield _allow("Publish", [queue], "sqs:SendMessage", "sqs:GetQueueUrl")
    if key:
        yield _allow("Encrypt", [key.key_arn], *SEND_KEY_ACTIONS)


def operator_statements(resources: Resources) -> Iterator[iam.PolicyStatement]:
    """What an operator needs for `relay dlq`, `doctor`, `trace` and `status`."""
    # Receive dead letters, hide them meanwhile, delete those that were redriven, restore dropped
    # ones, and let SQS move all of them if that keeps every id.
    yield _allow(
        "ManageDeadLetters",
        [resources.dead_letter_queue],
        "sqs:ReceiveMessage",
        "sqs:DeleteMessage",
        "sqs:ChangeMessageVisibility",
        "sqs:GetQueueAttributes",
        "sqs:GetQueueUrl",
        "sqs:SendMessage",
        "sqs:StartMessageMoveTask",
        "sqs:ListMessageMoveTasks",
        "sqs:CancelMessageMoveTask",
    )
    yield _allow(
        "Redrive",
        [resources.queue],
        "sqs:SendMessage",
        "sqs:GetQueueAttributes",
        "sqs:GetQueueUrl",
    )
    yield _allow(
        "ReadLedger",
        [resources.ledger],
        "dynamodb:BatchGetItem",
        "dynamodb:DescribeTable",
        "dynamodb:DescribeTimeToLive",
    )
    # To query the orchestrator for an event.
    yield _allow("ReadKeys", list(resources.secrets), "secretsmanager:GetSecretValue")
    yield _allow(
        "ReadAuditLog",
        [resources.log_group, f"{resources.log_group}:*"],
        "logs:FilterLogEvents",
        "logs:GetQueryResults",
        "logs:StartQuery",
    )
    # CloudWatch has no resources for this either.
    yield _allow("ReadMetrics", ["*"], "cloudwatch:GetMetricData", "cloudwatch:DescribeAlarms")
    if resources.key:
        yield _allow("Key", [resources.key.key_arn], *SEND_KEY_ACTIONS)


def _allow(sid: str, resources: list[str], *actions: str) -> iam.PolicyStatement:
    return iam.PolicyStatement(sid=sid, actions=list(actions), resources=resources)


def _arn(service: str, resource: str) -> str:
    return f"arn:{cdk.Aws.PARTITION}:{service}:{cdk.Aws.REGION}:{cdk.Aws.ACCOUNT_ID}:{resource}"
