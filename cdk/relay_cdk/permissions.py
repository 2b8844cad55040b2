"""The IAM statements for the relay, producers and operators, with reasons."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import aws_cdk as cdk
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms

from relay.delivery.dead_letter_bucket import PREFIX
from relay.telemetry import metrics
from relay_cdk.encryption import SEND_KEY_ACTIONS


@dataclass(frozen=True, slots=True, kw_only=True)
class Resources:
    """The ARNs that the statements refer to, and how the log and metrics leave the host.

    `uploads_log` is whether an agent uploads the log with the relay's role, `puts_metrics` whether
    metrics are sent with it.
    """

    queue: str
    dead_letter_queue: str
    ledger: str
    secrets: Sequence[str]
    log_group: str
    key: kms.IKey | None
    parameters: Sequence[str]
    payload_buckets: Sequence[str]
    dead_letter_bucket: str | None
    state_machine: str | None
    uploads_log: bool
    puts_metrics: bool


def relay_statements(resources: Resources) -> Iterator[iam.PolicyStatement]:
    """What the relay needs on its host."""
    # Receive, extend and delete: done by sqsd in push mode, by `relay poll` in pull mode. With a
    # function's role Lambda receives and deletes, and the relay itself sets how long what failed
    # is hidden. Doctor, status and the start-up check read the queue's attributes. Its tags
    # say whether it is paused.
    yield allow(
        "MainQueue",
        [resources.queue],
        "sqs:ReceiveMessage",
        "sqs:DeleteMessage",
        "sqs:ChangeMessageVisibility",
        "sqs:GetQueueAttributes",
        "sqs:GetQueueUrl",
        "sqs:ListQueueTags",
    )
    # Copies are sent with their reason. Receiving them is left to an operator.
    yield allow(
        "DeadLetters",
        [resources.dead_letter_queue],
        "sqs:SendMessage",
        "sqs:GetQueueAttributes",
        "sqs:GetQueueUrl",
    )
    if resources.dead_letter_bucket:
        # The bodies that the dead-letter queue has no room for.
        bodies = _objects(resources.dead_letter_bucket, PREFIX)
        yield allow("LargeDeadLetters", [bodies], "s3:PutObject")
    # Entries are read, written and deleted in batches. BatchWriteItem covers the deletions too.
    yield allow(
        "Ledger",
        [resources.ledger],
        "dynamodb:BatchGetItem",
        "dynamodb:BatchWriteItem",
        "dynamodb:DescribeTable",
        "dynamodb:DescribeTimeToLive",
    )
    yield from _key_lookups(resources)
    yield from _payloads(resources)
    yield from _state_machine(resources)
    yield from _telemetry(resources)
    if resources.key:
        yield from _key_uses(resources.key)
        # `relay doctor` checks whether the key is enabled.
        yield allow("KeyState", [resources.key.key_arn], "kms:DescribeKey")


def _telemetry(resources: Resources) -> Iterator[iam.PolicyStatement]:
    if resources.puts_metrics:
        # CloudWatch has no resources for this; the condition restricts the role to our namespace.
        yield iam.PolicyStatement(
            sid="Metrics",
            actions=["cloudwatch:PutMetricData"],
            resources=["*"],
            conditions={"StringEquals": {"cloudwatch:namespace": metrics.NAMESPACE}},
        )
    if resources.uploads_log:
        # For the CloudWatch agent: the group exists, the agent creates only streams in it.
        yield allow(
            "AuditLog",
            [f"{resources.log_group}:*"],
            "logs:CreateLogStream",
            "logs:DescribeLogStreams",
            "logs:PutLogEvents",
        )


def producer_statements(queue: str, key: kms.IKey | None) -> Iterator[iam.PolicyStatement]:
    """What a producer needs to publish."""
    yield allow("Publish", [queue], "sqs:SendMessage", "sqs:GetQueueUrl")
    if key:
        yield _key_use("Encrypt", key, ["sqs"], *SEND_KEY_ACTIONS)


def operator_statements(resources: Resources) -> Iterator[iam.PolicyStatement]:
    """What an operator needs for `relay dlq`, `pause`, `resume`, `trace`, `status` and `send`.

    `relay doctor` checks the permissions of its caller, so it needs the relay's own role.
    """
    # Receive dead letters, hide them meanwhile, delete those that were redriven, restore dropped
    # ones, and let SQS move all of them if that keeps every id.
    yield allow(
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
    yield allow(
        "Redrive",
        [resources.queue],
        "sqs:SendMessage",
        "sqs:GetQueueAttributes",
        "sqs:GetQueueUrl",
    )
    # A pause is a tag. It is refused for a queue that is another one's dead-letter queue.
    yield allow(
        "Pause",
        [resources.queue],
        "sqs:ListQueueTags",
        "sqs:TagQueue",
        "sqs:UntagQueue",
        "sqs:ListDeadLetterSourceQueues",
    )
    # A plan reads what was delivered. A canary and `--direct` deliver from here and record it.
    yield allow("Ledger", [resources.ledger], "dynamodb:BatchGetItem", "dynamodb:BatchWriteItem")
    # To query the orchestrator for an event, and to deliver from here.
    yield from _key_lookups(resources)
    yield from _payloads(resources)
    yield from _state_machine(resources)
    yield allow("ReadAuditLog", [f"{resources.log_group}:*"], "logs:FilterLogEvents")
    # CloudWatch has no resources for this either.
    yield allow("ReadMetrics", ["*"], "cloudwatch:GetMetricData")
    if resources.key:
        yield from _key_uses(resources.key)


def _key_lookups(resources: Resources) -> Iterator[iam.PolicyStatement]:
    """Look up the keys of destinations at run time, so that a rotated one needs no deployment."""
    if resources.secrets:
        yield allow("OrchestratorKeys", list(resources.secrets), "secretsmanager:GetSecretValue")
    if resources.parameters:
        yield allow("OrchestratorParameters", list(resources.parameters), "ssm:GetParameter")


def _payloads(resources: Resources) -> Iterator[iam.PolicyStatement]:
    """Fetch payloads, and bodies of dead letters, from S3. They are never deleted here."""
    names = list(resources.payload_buckets)
    objects = [_objects(name) for name in names]
    kept = resources.dead_letter_bucket
    if kept and kept not in names:
        names.append(kept)
        objects.append(_objects(kept, PREFIX))
    if names:
        yield allow("Payloads", objects, "s3:GetObject")
        # Nothing is listed, but without it S3 denies access to an object that does not exist, and
        # its message would wait instead of being rejected.
        yield allow("MissingPayloads", [_bucket(name) for name in names], "s3:ListBucket")


def _bucket(name: str) -> str:
    return f"arn:{cdk.Aws.PARTITION}:s3:::{name}"


def _objects(bucket: str, prefix: str = "") -> str:
    return f"{_bucket(bucket)}/{prefix}*"


def _state_machine(resources: Resources) -> Iterator[iam.PolicyStatement]:
    """Start executions, and look up those that exist already."""
    if resources.state_machine is None:
        return
    # AWS authorizes a version or an alias by its state machine's ARN.
    machine = ":".join(resources.state_machine.split(":")[:MACHINE_PARTS])
    yield allow(
        "StartExecutions", [machine], "states:StartExecution", "states:DescribeStateMachine"
    )
    yield allow("ReadExecutions", [executions_of(machine)], "states:DescribeExecution")


MACHINE_PARTS = 7
"""The parts of a state machine's ARN; a version or an alias adds one."""


def executions_of(state_machine: str) -> str:
    """The pattern for the ARNs of a state machine's executions."""
    parts = state_machine.replace(":stateMachine:", ":execution:").split(":")
    return ":".join([*parts[:MACHINE_PARTS], "*"])


def _key_uses(key: kms.IKey) -> Iterator[iam.PolicyStatement]:
    """Decrypt received messages, encrypt dead letters, read and write the ledger, read secrets."""
    yield _key_use("QueueKey", key, ["sqs"], *SEND_KEY_ACTIONS)
    yield _key_use("StoreKey", key, ["dynamodb", "secretsmanager"], "kms:Decrypt")


def _key_use(
    sid: str, key: kms.IKey, services: Sequence[str], *actions: str
) -> iam.PolicyStatement:
    """Use of the key by these services on the caller's behalf, and in no other way."""
    via = [f"{service}.{cdk.Aws.REGION}.{cdk.Aws.URL_SUFFIX}" for service in services]
    return iam.PolicyStatement(
        sid=sid,
        actions=list(actions),
        resources=[key.key_arn],
        conditions={"StringEquals": {"kms:ViaService": via}},
    )


def allow(sid: str, resources: list[str], *actions: str) -> iam.PolicyStatement:
    """A statement that allows these actions on these resources."""
    return iam.PolicyStatement(sid=sid, actions=list(actions), resources=resources)


def arn(service: str, resource: str) -> str:
    """The ARN of a resource in the stack's account and region."""
    return f"arn:{cdk.Aws.PARTITION}:{service}:{cdk.Aws.REGION}:{cdk.Aws.ACCOUNT_ID}:{resource}"
