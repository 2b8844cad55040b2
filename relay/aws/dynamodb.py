"""A table of DynamoDB with a text key: items in batches, one call each."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import Any

from botocore.parsers import ResponseParserError  # type: ignore[import-untyped]  # ships no types

from relay.aws.errors import translate
from relay.aws.json_protocol import DYNAMODB, JsonClient, open_json_client
from relay.aws.session import Session


class ItemTable:
    """Items whose attributes are text and numbers. `read` and `write` call once and repeat nothing.

    A caller that loses patience leaves; the connection that is being opened for the first call (the
    credentials can take seconds) is there for the next one.
    """

    def __init__(self, session: Callable[[], Awaitable[Session]], name: str, key: str) -> None:
        self._session = session
        self._name = name
        self._key = key
        self._resources = AsyncExitStack()
        self._opening: asyncio.Task[JsonClient] | None = None

    async def ready(self) -> None:
        """Prepare the first call; nobody is asked but for credentials.

        Raises:
            AwsError: there is no session to be had. The next call tries again.
        """
        await self._wire()

    async def read(self, keys: Sequence[str]) -> tuple[list[Mapping[str, str | float]], list[str]]:
        """The items that there are, at most 100 asked for, and the keys that were not got to.

        Every write that was answered before is seen.

        Raises:
            AwsError: nothing was read.
        """
        asked = {"Keys": [{self._key: {"S": key}} for key in keys], "ConsistentRead": True}
        answer = await self._call("BatchGetItem", asked)
        with self._understood("BatchGetItem"):
            # There is one table in it, by a name that may be an ARN where we said a name.
            items = [_read(raw) for found in answer["Responses"].values() for raw in found]
            left = [
                str(raw[self._key]["S"])
                for rest in answer.get("UnprocessedKeys", {}).values()
                for raw in rest["Keys"]
            ]
        return items, left

    async def write(
        self, items: Sequence[Mapping[str, str | float]], deletes: Sequence[str]
    ) -> list[str]:
        """Put items whatever was there, and delete; at most 25, no key twice.

        Returns the keys that were not got to.

        Raises:
            AwsError: nothing is known to be written.
        """
        requests: list[Mapping[str, Any]] = [{"PutRequest": {"Item": _write(i)}} for i in items]
        requests += [{"DeleteRequest": {"Key": {self._key: {"S": key}}}} for key in deletes]
        answer = await self._call("BatchWriteItem", requests)
        with self._understood("BatchWriteItem"):
            return [
                self._key_of(request)
                for rest in answer.get("UnprocessedItems", {}).values()
                for request in rest
            ]

    async def aclose(self) -> None:
        """Close the connections."""
        if self._opening is not None:
            self._opening.cancel()
            await asyncio.gather(self._opening, return_exceptions=True)
        await self._resources.aclose()

    @contextmanager
    def _understood(self, action: str) -> Iterator[None]:
        """An answer that is none tells nothing, least of all that nothing was found."""
        try:
            yield
        except (AttributeError, LookupError, TypeError, ValueError) as error:
            odd = ResponseParserError(f"not as the service answers: {error!r}")
            raise translate(odd, f"dynamodb:{action}", self._name) from error

    def _key_of(self, request: Mapping[str, Any]) -> str:
        put, delete = request.get("PutRequest"), request.get("DeleteRequest")
        fields = put["Item"] if put else delete["Key"] if delete else {}
        return str(fields[self._key]["S"])

    async def _call(self, action: str, asked: Any) -> Mapping[str, Any]:
        wire = await self._wire()
        answer: Mapping[str, Any] = await wire.call(
            action, {"RequestItems": {self._name: asked}}, self._name
        )
        return answer

    async def _wire(self) -> JsonClient:
        if self._opening is None or _failed(self._opening):
            self._opening = asyncio.get_running_loop().create_task(self._open())
            self._opening.add_done_callback(_failed)
        return await asyncio.shield(self._opening)

    async def _open(self) -> JsonClient:
        session = await self._session()
        await session.credentials()
        # Only to find where the service is.
        meta = (await session.client("dynamodb")).meta
        opening = open_json_client(session, meta.endpoint_url, meta.region_name, DYNAMODB)
        return await self._resources.enter_async_context(opening)


@asynccontextmanager
async def open_table(
    session: Callable[[], Awaitable[Session]], name: str, *, key: str
) -> AsyncIterator[ItemTable]:
    """The table of this name or ARN and partition key. Nobody is called until it is used."""
    table = ItemTable(session, name, key)
    try:
        yield table
    finally:
        await table.aclose()


def _failed(task: asyncio.Task[Any]) -> bool:
    """Whether it ended without a wire. Its exception counts as seen: callers may have left."""
    return task.done() and (task.cancelled() or task.exception() is not None)


def _read(raw: Mapping[str, Mapping[str, str]]) -> Mapping[str, str | float]:
    item: dict[str, str | float] = {}
    for name, value in raw.items():
        if "S" in value:
            item[name] = value["S"]
        elif "N" in value:
            item[name] = float(value["N"])
    return item


def _write(item: Mapping[str, str | float]) -> dict[str, dict[str, str]]:
    return {
        name: {"S": value} if isinstance(value, str) else {"N": repr(value)}
        for name, value in item.items()
    }


@dataclass(frozen=True, slots=True)
class TableDescription:
    """A table: its key's attributes with their types (`S`, `N`, `B`), and what expires items."""

    arn: str
    status: str
    key: tuple[tuple[str, str], ...]
    ttl_attribute: str | None


async def describe_table(session: Session, name: str) -> TableDescription:
    """The table of this name.

    Raises:
        AwsError: there is none, or it may not be described.
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
    return TableDescription(
        told["TableArn"], told["TableStatus"], key, expiry.get("AttributeName") if works else None
    )
