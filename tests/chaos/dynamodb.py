"""A DynamoDB emulator for the ledger: batch reads and writes by a string key, with faults."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from typing import Any, Literal, TypeAlias

from aiohttp import web

from relay.delivery.ledger.table import KEY

TableState: TypeAlias = Literal["healthy", "throttled", "half", "silent", "down"]
_THROTTLED = "com.amazonaws.dynamodb.v20120810#ProvisionedThroughputExceededException"


class DynamoDb:
    """Items by key. `state` affects the next requests: `half` leaves half of each batch undone."""

    def __init__(self) -> None:
        self.items: dict[str, dict[str, Any]] = {}
        self.state: TableState = "healthy"
        self.requests = 0
        self.port = 0

    @contextlib.asynccontextmanager
    async def serving(self) -> AsyncIterator[DynamoDb]:
        """Listen while the block runs."""
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
        request_body = json.loads(await request.read())
        if self.state == "down" and request.transport is not None:
            request.transport.abort()
        if self.state == "silent":
            await asyncio.sleep(10)
        if self.state in ("throttled", "down"):
            return _json({"__type": _THROTTLED, "message": "throttled"}, 400)
        act = self._get if request.headers["X-Amz-Target"].endswith("GetItem") else self._write
        return _json(act(request_body["RequestItems"]))

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
        count = len(entries) if self.state == "healthy" else len(entries) // 2
        return entries[:count], entries[count:]


def _json(answer: dict[str, Any], status: int = 200) -> web.Response:
    return web.Response(
        body=json.dumps(answer).encode(), status=status, content_type="application/x-amz-json-1.0"
    )
