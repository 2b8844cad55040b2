"""A table of DynamoDB as it is set up, and harmless tries of what may be done with it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from botocore.exceptions import ClientError  # type: ignore[import-untyped]  # ships no types

from relay.aws.errors import translate
from relay.aws.session import Session

_ABSENT = "doctor#absent"


@dataclass(frozen=True, slots=True)
class Table:
    """A table: its key's attributes with their types (`S`, `N`, `B`), and what expires items."""

    arn: str
    status: str
    key: tuple[tuple[str, str], ...]
    expires: str | None


async def describe_table(session: Session, name: str) -> Table:
    """The table of this name.

    Raises:
        QueueError: there is none, or it may not be described.
    """
    client = await session.client("dynamodb")
    action = "dynamodb:DescribeTable"
    try:
        told = (await client.describe_table(TableName=name))["Table"]
        action = "dynamodb:DescribeTimeToLive"
        expiry = (await client.describe_time_to_live(TableName=name))["TimeToLiveDescription"]
    except Exception as error:
        raise translate(error, action, name) from error
    types = {one["AttributeName"]: one["AttributeType"] for one in told["AttributeDefinitions"]}
    key = tuple((one["AttributeName"], types[one["AttributeName"]]) for one in told["KeySchema"])
    works = expiry.get("TimeToLiveStatus") in ("ENABLED", "ENABLING")
    return Table(
        told["TableArn"], told["TableStatus"], key, expiry.get("AttributeName") if works else None
    )


async def try_reading(session: Session, name: str, key: str) -> None:
    """Read an item that is not there.

    Raises:
        QueueError: it is refused.
    """
    client = await session.client("dynamodb")
    request: dict[str, Any] = {name: {"Keys": [{key: {"S": _ABSENT}}]}}
    try:
        await client.batch_get_item(RequestItems=request)
    except Exception as error:
        raise translate(error, "dynamodb:BatchGetItem", name) from error


async def try_writing(session: Session, name: str, key: str) -> None:
    """Write under a condition that no item can meet: it fails for whoever may write.

    Raises:
        QueueError: it is refused before the condition is looked at.
    """
    client = await session.client("dynamodb")
    try:
        await client.put_item(
            TableName=name,
            Item={key: {"S": _ABSENT}},
            ConditionExpression="attribute_exists(#k) AND attribute_not_exists(#k)",
            ExpressionAttributeNames={"#k": key},
        )
    except ClientError as error:
        if error.response["Error"]["Code"] != "ConditionalCheckFailedException":
            raise translate(error, "dynamodb:PutItem", name) from error
    except Exception as error:
        raise translate(error, "dynamodb:PutItem", name) from error
