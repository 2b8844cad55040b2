"""A table of DynamoDB as it is set up."""

from __future__ import annotations

from dataclasses import dataclass

from relay.aws.errors import translate
from relay.aws.session import Session


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
