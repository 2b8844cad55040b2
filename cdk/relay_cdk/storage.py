"""What is kept besides the queues: the ledger's table, the secrets and the audit log."""

from __future__ import annotations

import aws_cdk as cdk
from aws_cdk import aws_dynamodb as dynamodb
from aws_cdk import aws_kms as kms
from aws_cdk import aws_logs as logs
from aws_cdk import aws_secretsmanager as secretsmanager
from constructs import Construct

AUDIT_RETENTION = logs.RetentionDays.THREE_MONTHS
LEDGER_KEY = "key"
LEDGER_EXPIRY = "expires"

KEPT = cdk.RemovalPolicy.RETAIN_ON_UPDATE_OR_DELETE
"""Survives the stack's deletion. A creation that fails deletes it again: with a plain `RETAIN`, the
next attempt would find names that are taken."""


def ledger_table(scope: Construct, key: kms.IKey | None) -> dynamodb.Table:
    """The ledger's table, billed by use; items expire, the table outlives the stack."""
    customer = dynamodb.TableEncryption.CUSTOMER_MANAGED
    return dynamodb.Table(
        scope,
        "Ledger",
        partition_key=dynamodb.Attribute(name=LEDGER_KEY, type=dynamodb.AttributeType.STRING),
        time_to_live_attribute=LEDGER_EXPIRY,
        billing_mode=dynamodb.BillingMode.PAY_PER_REQUEST,
        point_in_time_recovery_specification=dynamodb.PointInTimeRecoverySpecification(
            point_in_time_recovery_enabled=True
        ),
        encryption=customer if key else dynamodb.TableEncryption.DEFAULT,
        encryption_key=key,
        removal_policy=KEPT,
    )


def empty_secret(
    scope: Construct, ident: str, description: str, key: kms.IKey | None
) -> secretsmanager.CfnSecret:
    """A secret for one of the orchestrator's keys, without a value until an operator sets it.

    The L2 construct would generate a random value, which looks set but is refused by the
    orchestrator. Without a value the relay starts halted and says what is missing.
    """
    secret = secretsmanager.CfnSecret(
        scope, ident, description=description, kms_key_id=key.key_arn if key else None
    )
    secret.apply_removal_policy(KEPT)
    return secret


def audit_log(scope: Construct, name: str) -> logs.LogGroup:
    """The group of the audit log; whoever writes to it may create streams in it, but no groups."""
    return logs.LogGroup(
        scope, "AuditLog", log_group_name=name, retention=AUDIT_RETENTION, removal_policy=KEPT
    )
