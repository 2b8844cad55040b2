"""Creates a ledger table on moto's server."""

from __future__ import annotations

import uuid

import boto3  # type: ignore[import-untyped] # it ships no types

from relay.delivery.ledger.table import KEY


def new_table(url: str, region: str) -> str:
    """Create a table and return its unique name: moto's tables outlive the tests."""
    name = f"ledger-{uuid.uuid4().hex}"
    client = boto3.client(
        "dynamodb",
        endpoint_url=url,
        region_name=region,
        aws_access_key_id="test",
        aws_secret_access_key="test",
    )
    client.create_table(
        TableName=name,
        KeySchema=[{"AttributeName": KEY, "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": KEY, "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
    )
    client.close()
    return name
