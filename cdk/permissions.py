"""What the relay, the worker tier and producers may do: each statement with its reason."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import aws_cdk as cdk
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms

from cdk.encryption import SEND
from relay.telemetry import metrics


@dataclass(frozen=True, slots=True, kw_only=True)
class Resources:
    """The ARNs that permissions speak of."""

    queue: str
    dead_letter_queue: str
    ledger: str
    secrets: Sequence[str]
    log_group: str
    key: kms.IKey | None


def of_relay(resources: Resources) -> Iterator[iam.PolicyStatement]:
    """What `relay serve` and `relay poll` need wherever they run."""
    # Receive, extend and delete; sqsd does it in push mode, `relay poll` itself in pull mode. The
    # attributes tell doctor, status and the start-up check how the queue is set.
    yield _allow(
        "MainQueue",
        [resources.queue],
        "sqs:ReceiveMessage",
        "sqs:DeleteMessage",
        "sqs:ChangeMessageVisibility",
        "sqs:GetQueueAttributes",
        "sqs:GetQueueUrl",
    )
    # Copies go in with their reason. Taking them out again is a person's business, not the role's.
    yield _allow(
        "DeadLetters",
        [resources.dead_letter_queue],
        "sqs:SendMessage",
        "sqs:GetQueueAttributes",
        "sqs:GetQueueUrl",
    )
    # Notes are written blindly in batches and read in batches; expiry deletes them, not the relay.
    yield _allow(
        "Ledger",
        [resources.ledger],
        "dynamodb:BatchGetItem",
        "dynamodb:BatchWriteItem",
        "dynamodb:DescribeTable",
        "dynamodb:DescribeTimeToLive",
    )
    # Looked up at run time, so that a rotated key heals by itself.
    yield _allow("OrchestratorKeys", list(resources.secrets), "secretsmanager:GetSecretValue")
    # CloudWatch knows no resources here; the condition keeps the role within our namespace.
    yield iam.PolicyStatement(
        sid="Metrics",
        actions=["cloudwatch:PutMetricData"],
        resources=["*"],
        conditions={"StringEquals": {"cloudwatch:namespace": metrics.NAMESPACE}},
    )
    # The agent's part: the group exists already, only streams are made in it.
    yield _allow(
        "AuditLog",
        [f"{resources.log_group}:*"],
        "logs:CreateLogStream",
        "logs:DescribeLogStreams",
        "logs:PutLogEvents",
    )
    if resources.key:
        # Decrypt what is received, encrypt what is dead-lettered and noted.
        yield _allow("Key", [resources.key.key_arn], *SEND)


def of_worker_tier(name: str, queue: str) -> Iterator[iam.PolicyStatement]:
    """What Elastic Beanstalk's daemons do with the instance's role, besides `of_relay`.

    The same as the managed policy AWSElasticBeanstalkWorkerTier, narrowed to what can be named;
    `name` is both the application's and the environment's.
    """
    # sqsd puts the tasks of a cron.yaml into the queue itself.
    yield _allow("PeriodicTasks", [queue], "sqs:SendMessage")
    # Its leader election. Elastic Beanstalk makes the table and its name.
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
    # sqsd's and the health agent's metrics; their namespaces are AWS's to name.
    yield iam.PolicyStatement(
        sid="PlatformMetrics",
        actions=["cloudwatch:PutMetricData"],
        resources=["*"],
        conditions={
            "StringLike": {"cloudwatch:namespace": ["ElasticBeanstalk*", "AWS/ElasticBeanstalk"]}
        },
    )
    # The platform's own logs, in groups that Elastic Beanstalk makes.
    yield _allow(
        "PlatformLogs",
        [_arn("logs", f"log-group:/aws/elasticbeanstalk/{name}/*")],
        "logs:CreateLogStream",
        "logs:DescribeLogStreams",
        "logs:PutLogEvents",
    )
    # The application's versions, and logs that are asked for or rotated out.
    bucket = f"arn:{cdk.Aws.PARTITION}:s3:::elasticbeanstalk-{cdk.Aws.REGION}-{cdk.Aws.ACCOUNT_ID}"
    yield _allow(
        "PlatformBucket",
        [bucket, f"{bucket}/*"],
        "s3:GetObject",
        "s3:GetObjectVersion",
        "s3:ListBucket",
        "s3:PutObject",
    )


def of_producer(queue: str, key: kms.IKey | None) -> Iterator[iam.PolicyStatement]:
    """What a role needs to publish."""
    yield _allow("Publish", [queue], "sqs:SendMessage", "sqs:GetQueueUrl")
    if key:
        yield _allow("Encrypt", [key.key_arn], *SEND)


def of_operator(resources: Resources) -> Iterator[iam.PolicyStatement]:
    """What a person needs for `relay dlq`, `doctor`, `trace` and `status`."""
    # Look at dead letters, hold them while looking, delete those that went back, put back what was
    # dropped, and let SQS move all where that keeps every id.
    yield _allow(
        "LookAtDeadLetters",
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
    # Bring them back.
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
    # Needed to ask the orchestrator what became of an event.
    yield _allow("ReadKeys", list(resources.secrets), "secretsmanager:GetSecretValue")
    yield _allow(
        "ReadAuditLog",
        [resources.log_group, f"{resources.log_group}:*"],
        "logs:FilterLogEvents",
        "logs:GetQueryResults",
        "logs:StartQuery",
    )
    # CloudWatch knows no resources here either.
    yield _allow("ReadMetrics", ["*"], "cloudwatch:GetMetricData", "cloudwatch:DescribeAlarms")
    if resources.key:
        yield _allow("Key", [resources.key.key_arn], *SEND)


def _allow(sid: str, resources: list[str], *actions: str) -> iam.PolicyStatement:
    return iam.PolicyStatement(sid=sid, actions=list(actions), resources=resources)


def _arn(service: str, resource: str) -> str:
    return f"arn:{cdk.Aws.PARTITION}:{service}:{cdk.Aws.REGION}:{cdk.Aws.ACCOUNT_ID}:{resource}"
