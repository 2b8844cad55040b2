"""DynamoDB: batches of items of a table with a text key, and a table's description."""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any

from relay.aws.errors import calling, read_text, reading
from relay.aws.json_protocol import DYNAMODB, JsonClient, open_json_client
from relay.aws.session import Session


class ItemTable:
    """The items of a table; attributes are texts and numbers. `read` and `write` do not retry.

    The first call opens the connection, for which finding the credentials can take seconds. If its
    caller is cancelled meanwhile, the next call uses the connection.
    """

    def __init__(self, session: Callable[[], Awaitable[Session]], name: str, key: str) -> None:
        self._session = session
        self._name = name
        self._key = key
        self._resources = AsyncExitStack()
        self._opening: asyncio.Task[JsonClient] | None = None

    async def ready(self) -> None:
        """Open the connection for the first call. Only credentials are requested.

        Raises:
            AwsError: no session could be opened. The next call tries again.
        """
        await self._client()

    async def read(self, keys: Sequence[str]) -> tuple[list[Mapping[str, str | float]], list[str]]:
        """The items found under at most 100 keys, and the keys that DynamoDB did not process.

        The read is consistent: it sees every write that was answered before.

        Raises:
            AwsError: nothing was read.
        """
        request = {"Keys": [{self._key: {"S": key}} for key in keys], "ConsistentRead": True}
        answer = await self._call("BatchGetItem", request)
        with reading("dynamodb:BatchGetItem", self._name):
            # The only table in it may be named by its ARN where we sent a name.
            items = [_read(raw) for found in answer["Responses"].values() for raw in found]
            if not all(isinstance(item[self._key], str) for item in items):
                raise TypeError("an item without its key")
            unprocessed = [
                read_text(raw[self._key]["S"])
                for rest in answer.get("UnprocessedKeys", {}).values()
                for raw in rest["Keys"]
            ]
        return items, unprocessed

    async def write(
        self, items: Sequence[Mapping[str, str | float]], deletes: Sequence[str]
    ) -> list[str]:
        """Put items, replacing existing ones, and delete keys; at most 25, no key twice.

        Returns the keys that DynamoDB did not process.

        Raises:
            AwsError: nothing is known to be written.
        """
        requests: list[Mapping[str, Any]] = [{"PutRequest": {"Item": _write(i)}} for i in items]
        requests += [{"DeleteRequest": {"Key": {self._key: {"S": key}}}} for key in deletes]
        answer = await self._call("BatchWriteItem", requests)
        with reading("dynamodb:BatchWriteItem", self._name):
            return [
                self._key_of(request)
                for rest in answer.get("UnprocessedItems", {}).values()
                for request in rest
            ]

    async def scan(
        self, prefix: str, start: str = ""
    ) -> tuple[list[Mapping[str, str | float]], str]:
        """A page of the items whose key begins with a prefix, and the key after which to go on.

        A page may be empty and not the last; the last has no such key. Reads the whole table, page
        by page, and DynamoDB bills what it reads.

        Raises:
            AwsError: nothing was read.
        """
        request: dict[str, Any] = {
            "TableName": self._name,
            "FilterExpression": "begins_with(#key, :prefix)",
            "ExpressionAttributeNames": {"#key": self._key},
            "ExpressionAttributeValues": {":prefix": {"S": prefix}},
        }
        if start:
            request["ExclusiveStartKey"] = {self._key: {"S": start}}
        client = await self._client()
        answer = await client.call("Scan", request, self._name)
        with reading("dynamodb:Scan", self._name):
            items = [_read(raw) for raw in answer.get("Items", ())]
            last = answer.get("LastEvaluatedKey")
            return items, read_text(last[self._key]["S"]) if last else ""

    async def aclose(self) -> None:
        """Close the connections."""
        if self._opening is not None:
            self._opening.cancel()
            await asyncio.gather(self._opening, return_exceptions=True)
        await self._resources.aclose()

    def _key_of(self, request: Mapping[str, Any]) -> str:
        put, delete = request.get("PutRequest"), request.get("DeleteRequest")
        fields = put["Item"] if put else delete["Key"] if delete else {}
        return read_text(fields[self._key]["S"])

    async def _call(self, action: str, request: Any) -> Mapping[str, Any]:
        client = await self._client()
        answer: Mapping[str, Any] = await client.call(
            action, {"RequestItems": {self._name: request}}, self._name
        )
        return answer

    async def _client(self) -> JsonClient:
        if self._opening is None or _failed(self._opening):
            self._opening = asyncio.get_running_loop().create_task(self._open())
            self._opening.add_done_callback(_failed)
        return await asyncio.shield(self._opening)

    async def _open(self) -> JsonClient:
        session = await self._session()
        await session.credentials()
        opening = open_json_client(session, *await session.locate("dynamodb"), DYNAMODB)
        return await self._resources.enter_async_context(opening)


@asynccontextmanager
async def open_table(
    session: Callable[[], Awaitable[Session]], name: str, *, key: str
) -> AsyncIterator[ItemTable]:
    """The table of this name or ARN and partition key. No call is made until it is used."""
    table = ItemTable(session, name, key)
    try:
        yield table
    finally:
        await table.aclose()


def _failed(task: asyncio.Task[Any]) -> bool:
    """Whether opening failed. Retrieves the exception, because no caller may be waiting for it."""
    return task.done() and (task.cancelled() or task.exception() is not None)


def _read(raw: Mapping[str, Mapping[str, str]]) -> Mapping[str, str | float]:
    item: dict[str, str | float] = {}
    for name, value in raw.items():
        if "S" in value:
            item[name] = read_text(value["S"])
        elif "N" in value:
            item[name] = number = float(value["N"])
            if not math.isfinite(number):
                raise ValueError(f"{name} is no number")
    return item


def _write(item: Mapping[str, str | float]) -> dict[str, dict[str, str]]:
    return {
        name: {"S": value} if isinstance(value, str) else {"N": repr(value)}
        for name, value in item.items()
    }


@dataclass(frozen=True, slots=True)
class TableDescription:
    """A table: the attributes of its key with their types (`S`, `N`, `B`), and of its expiry."""

    arn: str
    status: str
    key: tuple[tuple[str, str], ...]
    ttl_attribute: str | None


async def describe_table(session: Session, name: str) -> TableDescription:
    """The description of the table.

    Raises:
        AwsError: the table does not exist or may not be described.
    """
    client = await session.client("dynamodb")
    with calling("dynamodb:DescribeTable", name):
        table = (await client.describe_table(TableName=name))["Table"]
        types = {
            read_text(one["AttributeName"]): read_text(one["AttributeType"])
            for one in table["AttributeDefinitions"]
        }
        key = tuple(
            (one["AttributeName"], types[one["AttributeName"]]) for one in table["KeySchema"]
        )
        arn, status = read_text(table["TableArn"]), read_text(table["TableStatus"])
    with calling("dynamodb:DescribeTimeToLive", name):
        ttl = (await client.describe_time_to_live(TableName=name))["TimeToLiveDescription"]
        enabled = ttl.get("TimeToLiveStatus") in ("ENABLED", "ENABLING")
        attribute = read_text(ttl["AttributeName"]) if enabled else None
    return TableDescription(arn, status, key, attribute)
