"""A DynamoDB emulator for the ledger: batch reads and writes by a string key, scans, and faults."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from typing import Any, Literal, TypeAlias

from aiohttp import web

from relay.delivery.ledger.table import KEY

TableState: TypeAlias = Literal["healthy", "throttled", "half", "silent", "down"]
SCANNED = 25
"""Items of a page of a scan: few, so that there are several pages."""

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
        action = request.headers["X-Amz-Target"].rpartition(".")[2]
        if action == "Scan":
            return _json(self._scan(request_body))
        act = self._get if action.endswith("GetItem") else self._write
        return _json(act(request_body["RequestItems"]))

    def _scan(self, request: dict[str, Any]) -> dict[str, Any]:
        """A page of the items whose key begins with the prefix; the filter applies to the page."""
        start = request.get("ExclusiveStartKey", {KEY: {"S": ""}})[KEY]["S"]
        prefix = request["ExpressionAttributeValues"][":prefix"]["S"]
        keys = sorted(key for key in self.items if key > start)
        page = keys[:SCANNED]
        more = {"LastEvaluatedKey": {KEY: {"S": page[-1]}}} if len(keys) > SCANNED else {}
        return {"Items": [self.items[key] for key in page if key.startswith(prefix)], **more}

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
