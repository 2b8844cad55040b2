"""The secrets that hold the orchestrator's keys, empty until a person puts the keys in."""

from __future__ import annotations

import aws_cdk as cdk
from aws_cdk import aws_kms as kms
from aws_cdk import aws_secretsmanager as secretsmanager
from constructs import Construct


def empty_secret(
    scope: Construct, ident: str, description: str, key: kms.IKey | None
) -> secretsmanager.CfnSecret:
    """A secret without a value.

    The higher construct would invent a random one, which looks set and is refused by the
    orchestrator; with none the relay starts halted and says what is missing.
    """
    secret = secretsmanager.CfnSecret(
        scope, ident, description=description, kms_key_id=key.key_arn if key else None
    )
    secret.apply_removal_policy(cdk.RemovalPolicy.RETAIN)
    return secret
