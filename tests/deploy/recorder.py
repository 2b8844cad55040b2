"""A recording AWS: notes what each request would need in IAM, and passes it on to a simulation."""

from __future__ import annotations

import asyncio
import io
from collections import defaultdict
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import aiohttp
from aiohttp import web

from tests.deploy.aws_calls import Call, Permissions, Request

_OF_ONE_CONNECTION = {"host", "connection", "transfer-encoding", "content-length"}


class Recorder:
    """The front of the simulated services. The access key of a request says who sent it.

    Args:
        services: the URL of each service by its name in signatures.
        others: the URL of all other services.
        permissions: what requests need.
    """

    def __init__(self, services: dict[str, str], others: str, permissions: Permissions) -> None:
        self._services = services
        self._others = others
        self._permissions = permissions
        self._changed = asyncio.Condition()
        self._client: aiohttp.ClientSession
        self.calls: dict[str, set[Call]] = defaultdict(set)
        self.url = ""

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[Recorder]:
        """Serve on a loopback port for the duration of the block."""
        app = web.Application(client_max_size=4 * 1_048_576)
        app.router.add_route("*", "/{path:.*}", self._handle)
        runner = web.AppRunner(app, access_log=None)
        async with aiohttp.ClientSession(auto_decompress=False) as self._client:
            await runner.setup()
            site = web.TCPSite(runner, "127.0.0.1", 0)
            await site.start()
            port = runner.addresses[0][1]
            self.url = f"http://127.0.0.1:{port}"
            try:
                yield self
            finally:
                await runner.cleanup()

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait until a condition holds that only a call can bring about."""
        async with self._changed, asyncio.timeout(60):
            await self._changed.wait_for(condition)

    def called(self, identity: str, action: str) -> bool:
        """Whether this identity has made this call."""
        return any(call.action == action for call in self.calls[identity])

    async def _handle(self, request: web.Request) -> web.Response:
        body = await request.read()
        read = Request.read(request.method, request.path, request.headers, body)
        url = self._services.get(read.service, self._others) + request.path_qs
        kept = {n: v for n, v in request.headers.items() if n.lower() not in _OF_ONE_CONNECTION}
        async with self._client.request(
            request.method, url, data=io.BytesIO(body), headers=kept
        ) as answer:
            content = await answer.read()
            if answer.ok:
                self._permissions.answered(read, content)
            async with self._changed:
                self.calls[read.identity].update(self._permissions.of(read))
                self._changed.notify_all()
            given = {n: v for n, v in answer.headers.items() if n.lower() not in _OF_ONE_CONNECTION}
            return web.Response(status=answer.status, body=content, headers=given)
