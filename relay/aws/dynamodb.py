"""A table of DynamoDB with a text key: items in batches, one call each."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

from relay.aws.errors import translate
from relay.aws.session import Session


class ItemTable:
    """Items whose attributes are text and numbers. `read` and `write` call once and repeat nothing.

    A caller that loses patience leaves; the client that is being opened for the first call (its
    credentials can take seconds) is there for the next one.
    """

    def __init__(self, session: Callable[[], Awaitable[Session]], name: str, key: str) -> None:
        self._session = session
        self._name = name
        self._key = key
        self._opening: asyncio.Task[Any] | None = None

    async def ready(self) -> None:
        """Open the client ahead of the first call; nobody is asked but for credentials.

        Raises:
            QueueError: there is no session or client to be had. The next call tries again.
        """
        await self._client()

    async def read(self, keys: Sequence[str]) -> tuple[list[Mapping[str, str | float]], list[str]]:
        """The items that there are, at most 100 asked for, and the keys that were not got to.

        Every write that was answered before is seen.

        Raises:
            QueueError: nothing was read.
        """
        client = await self._client()
        asked = {"Keys": [{self._key: {"S": key}} for key in keys], "ConsistentRead": True}
        try:
            answer = await client.batch_get_item(RequestItems={self._name: asked})
        except Exception as error:
            raise translate(error, "dynamodb:BatchGetItem", self._name) from error
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
            QueueError: nothing is known to be written.
        """
        client = await self._client()
        requests: list[Mapping[str, Any]] = [{"PutRequest": {"Item": _write(i)}} for i in items]
        requests += [{"DeleteRequest": {"Key": {self._key: {"S": key}}}} for key in deletes]
        try:
            answer = await client.batch_write_item(RequestItems={self._name: requests})
        except Exception as error:
            raise translate(error, "dynamodb:BatchWriteItem", self._name) from error
        return [
            self._key_of(request)
            for rest in answer.get("UnprocessedItems", {}).values()
            for request in rest
        ]

    def close(self) -> None:
        """Stop opening the client; the session closes an open one."""
        if self._opening is not None:
            self._opening.cancel()

    def _key_of(self, request: Mapping[str, Any]) -> str:
        put, delete = request.get("PutRequest"), request.get("DeleteRequest")
        fields = put["Item"] if put else delete["Key"] if delete else {}
        return str(fields[self._key]["S"])

    async def _client(self) -> Any:
        if self._opening is None or _failed(self._opening):
            self._opening = asyncio.get_running_loop().create_task(self._open())
            self._opening.add_done_callback(_failed)
        return await asyncio.shield(self._opening)

    async def _open(self) -> Any:
        return await (await self._session()).client("dynamodb")


@asynccontextmanager
async def open_table(
    session: Callable[[], Awaitable[Session]], name: str, *, key: str
) -> AsyncIterator[ItemTable]:
    """The table of this name or ARN and partition key. Nobody is called until it is used."""
    table = ItemTable(session, name, key)
    try:
        yield table
    finally:
        table.close()


def _failed(task: asyncio.Task[Any]) -> bool:
    """Whether it ended without a client. Its exception counts as seen: callers may have left."""
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
