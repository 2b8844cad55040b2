"""The ledger's table: what is being sent and what was delivered."""

from __future__ import annotations

import aws_cdk as cdk
from aws_cdk import aws_dynamodb as dynamodb
from aws_cdk import aws_kms as kms
from constructs import Construct

KEY = "key"
EXPIRES = "expires"


def ledger_table(scope: Construct, key: kms.IKey | None) -> dynamodb.Table:
    """A table that costs nothing while idle, forgets by itself, and outlives the stack."""
    customer = dynamodb.TableEncryption.CUSTOMER_MANAGED
    return dynamodb.Table(
        scope,
        "Ledger",
        partition_key=dynamodb.Attribute(name=KEY, type=dynamodb.AttributeType.STRING),
        time_to_live_attribute=EXPIRES,
        billing_mode=dynamodb.BillingMode.PAY_PER_REQUEST,
        point_in_time_recovery_specification=dynamodb.PointInTimeRecoverySpecification(
            point_in_time_recovery_enabled=True
        ),
        encryption=customer if key else dynamodb.TableEncryption.DEFAULT,
        encryption_key=key,
        removal_policy=cdk.RemovalPolicy.RETAIN,
    )
