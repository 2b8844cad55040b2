"""The optional customer key (KMS), and who may use it."""

from __future__ import annotations

import aws_cdk as cdk
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from constructs import Construct

from relay_cdk.options import Options
from relay_cdk.producers import parsed
from relay_cdk.storage import KEPT

CLOUDWATCH = "cloudwatch.amazonaws.com"

OWN_ACCOUNT = {"StringEquals": {"aws:SourceAccount": cdk.Aws.ACCOUNT_ID}}
"""A condition that lets a service act for this account only."""

SEND_KEY_ACTIONS = ("kms:GenerateDataKey", "kms:Decrypt")
"""What SQS requires of a sender to a queue with a customer key."""


def customer_key(scope: Construct, options: Options) -> kms.IKey | None:
    """The key of the queues, the ledger, the secrets and the topic; None for AWS's own keys."""
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
        # Without its key, a retained queue cannot be decrypted.
        removal_policy=KEPT,
    )
    # IAM policies of this account do not apply to services and other accounts: the key policy must
    # name them.
    for index, producer in enumerate(options.producers):
        key.add_to_resource_policy(_grant(f"Producer{index}", *sender(producer), *SEND_KEY_ACTIONS))
    # An alarm cannot publish to an encrypted topic unless CloudWatch may use the key.
    key.add_to_resource_policy(
        _grant("Alarms", iam.ServicePrincipal(CLOUDWATCH), OWN_ACCOUNT, *SEND_KEY_ACTIONS)
    )
    return key


def sender(producer: str) -> tuple[iam.PrincipalBase, dict[str, dict[str, str]] | None]:
    """The principal that a value of the option `producers` means, and its condition."""
    found = parsed(producer)
    if not found.service:
        if found.principal.isdigit():
            return iam.AccountPrincipal(found.principal), None
        return iam.ArnPrincipal(found.principal), None
    conditions = OWN_ACCOUNT if found.own_account else {}
    if found.source:
        conditions = {**conditions, "ArnLike": {"aws:SourceArn": found.source}}
    return iam.ServicePrincipal(found.principal), conditions


def _grant(
    sid: str,
    who: iam.PrincipalBase,
    conditions: dict[str, dict[str, str]] | None,
    *actions: str,
) -> iam.PolicyStatement:
    return iam.PolicyStatement(
        sid=sid, principals=[who], actions=list(actions), resources=["*"], conditions=conditions
    )
