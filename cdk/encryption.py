"""The customer key, for those who want one of their own, and who may use it."""

from __future__ import annotations

import aws_cdk as cdk
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from constructs import Construct

from cdk.options import Options

SEND = ("kms:GenerateDataKey", "kms:Decrypt")
"""What SQS asks of whoever sends to a queue under a customer key, in these two calls."""


def key_of(scope: Construct, options: Options) -> kms.IKey | None:
    """The key of the queues, the ledger, the secrets and the topic, or None for AWS's own."""
    if options.key == "sqs":
        return None
    if options.key != "create":
        return kms.Key.from_key_arn(scope, "Key", options.key)
    key = kms.Key(
        scope,
        "Key",
        alias=f"alias/{options.name}",
        description="Encrypts the relay's queues, ledger, secrets and alarms",
        enable_key_rotation=True,
        # Without its key a retained queue is a queue of noise.
        removal_policy=cdk.RemovalPolicy.RETAIN,
    )
    # Services and other accounts get nothing from IAM policies here; the key must name them.
    for index, producer in enumerate(options.producers):
        key.add_to_resource_policy(_grant(f"Producer{index}", principal(producer), *SEND))
    # An alarm cannot publish to an encrypted topic unless its service may use the key.
    key.add_to_resource_policy(_grant("Alarms", iam.ServicePrincipal(CLOUDWATCH), *SEND))
    return key


CLOUDWATCH = "cloudwatch.amazonaws.com"


def principal(producer: str) -> iam.PrincipalBase:
    """A service's name or a principal's ARN, as IAM wants it."""
    if producer.startswith("arn:"):
        return iam.ArnPrincipal(producer)
    return iam.ServicePrincipal(producer)


def own_account(who: iam.PrincipalBase) -> dict[str, dict[str, str]] | None:
    """Conditions that let a service act for this account only; None for an account's principal."""
    if not isinstance(who, iam.ServicePrincipal):
        return None
    return {"StringEquals": {"aws:SourceAccount": cdk.Aws.ACCOUNT_ID}}


def _grant(sid: str, who: iam.PrincipalBase, *actions: str) -> iam.PolicyStatement:
    return iam.PolicyStatement(
        sid=sid,
        principals=[who],
        actions=list(actions),
        resources=["*"],
        conditions=own_account(who),
    )
