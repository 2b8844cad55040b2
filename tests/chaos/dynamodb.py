"""DynamoDB as far as the ledger goes: items by a text key, in batches, with faults."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from typing import Any, Literal, TypeAlias

from aiohttp import web

from relay.delivery.ledger.table import KEY

Mood: TypeAlias = Literal["well", "throttled", "half", "silent", "gone"]
_THROTTLED = "com.amazonaws.dynamodb.v20120810#ProvisionedThroughputExceededException"


class DynamoDb:
    """`items` by key. `mood` says how the next requests go: `half` leaves half of each batch."""

    def __init__(self) -> None:
        self.items: dict[str, dict[str, Any]] = {}
        self.mood: Mood = "well"
        self.requests = 0
        self.port = 0

    @contextlib.asynccontextmanager
    async def listening(self) -> AsyncIterator[DynamoDb]:
        """Listen for as long as the block runs."""
        app = web.Application()
        app.router.add_post("/", self._answer)
        runner = web.AppRunner(app, shutdown_timeout=0.1)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        self.port = runner.addresses[0][1]
        try:
            yield self
        finally:
            await runner.cleanup()

    async def _answer(self, request: web.Request) -> web.Response:
        self.requests += 1
        asked = json.loads(await request.read())
        if self.mood == "gone" and request.transport is not None:
            request.transport.abort()
        if self.mood == "silent":
            await asyncio.sleep(10)
        if self.mood in ("throttled", "gone"):
            return _json({"__type": _THROTTLED, "message": "slower, please"}, 400)
        act = self._get if request.headers["X-Amz-Target"].endswith("GetItem") else self._write
        return _json(act(asked["RequestItems"]))

    def _get(self, tables: dict[str, Any]) -> dict[str, Any]:
        ((name, wanted),) = tables.items()
        keys = [key[KEY]["S"] for key in wanted["Keys"]]
        taken, left = self._share(keys)
        found = [self.items[key] for key in taken if key in self.items]
        rest = {name: {"Keys": [{KEY: {"S": key}} for key in left]}} if left else {}
        return {"Responses": {name: found}, "UnprocessedKeys": rest}

    def _write(self, tables: dict[str, Any]) -> dict[str, Any]:
        ((name, changes),) = tables.items()
        taken, left = self._share(changes)
        for change in taken:
            if "PutRequest" in change:
                item = change["PutRequest"]["Item"]
                self.items[item[KEY]["S"]] = item
            else:
                self.items.pop(change["DeleteRequest"]["Key"][KEY]["S"], None)
        return {"UnprocessedItems": {name: left} if left else {}}

    def _share(self, entries: list[Any]) -> tuple[list[Any], list[Any]]:
        count = len(entries) if self.mood == "well" else len(entries) // 2
        return entries[:count], entries[count:]


def _json(answer: dict[str, Any], status: int = 200) -> web.Response:
    return web.Response(
        body=json.dumps(answer).encode(), status=status, content_type="application/x-amz-json-1.0"
    )
