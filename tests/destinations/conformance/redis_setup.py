"""BullMQ: its real library with a real Redis, through a proxy that can lose answers."""

from __future__ import annotations

import asyncio
import importlib
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import pytest

from relay.local.orchestrators.apis import missing_dependency
from relay.local.orchestrators.bullmq import RedisServer
from tests.destinations.conformance.setups import Setup, opened

# By name, because a type checker may run where the extra is not installed.
redis: Any = importlib.import_module("redis.asyncio")

PASSWORD = "of-redis"
NEW_PASSWORD = "another-one"


class Proxy:
    """Forwards bytes; with `losing` it drops the connection after the next script call."""

    def __init__(self, port: int) -> None:
        self._port = port
        self.losing = False
        self._tasks: set[asyncio.Task[None]] = set()

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        back, forth = await asyncio.open_connection("127.0.0.1", self._port)
        answers = asyncio.ensure_future(self._answers(back, writer))
        try:
            while data := await reader.read(65_536):
                forth.write(data)
                if self.losing and b"EVALSHA" in data:
                    self.losing = False
                    answers.cancel()
                    await back.read(1)
                    break
        finally:
            answers.cancel()
            for one in (writer, forth):
                one.close()
            await asyncio.gather(
                answers, writer.wait_closed(), forth.wait_closed(), return_exceptions=True
            )

    async def _answers(self, back: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await back.read(65_536):
            writer.write(data)

    async def aclose(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


@asynccontextmanager
async def bullmq(**variables: str) -> AsyncIterator[Setup]:
    async with AsyncExitStack() as stack:
        if missing_dependency("bullmq"):
            pytest.skip("there is no redis-server")
        server = await stack.enter_async_context(RedisServer("--requirepass", PASSWORD))
        port = server.port
        client = redis.Redis(port=port, password=PASSWORD, decode_responses=True)
        stack.push_async_callback(client.aclose)
        proxy = Proxy(port)
        listener = await asyncio.start_server(proxy.handle, "127.0.0.1", 0)
        stack.push_async_callback(proxy.aclose)
        stack.callback(listener.close)
        place = f"127.0.0.1:{listener.sockets[0].getsockname()[1]}"
        settings = {
            "RELAY_BULLMQ_URL": f"redis://:{PASSWORD}@{place}/0",
            "RELAY_BULLMQ_QUEUE": "orders",
            **variables,
        }
        destination, traits = await opened(stack, "bullmq", settings)
        controls = _ControlledRedis(destination, client)

        async def started() -> int:
            password = NEW_PASSWORD if controls.denied else PASSWORD
            async with redis.Redis(port=port, password=password) as asking:
                return int(await asking.llen("bull:orders:wait"))

        def lose_answer() -> None:
            proxy.losing = True

        yield Setup(
            destination=controls,
            traits=traits,
            started=started,
            throttle=lambda _after: setattr(controls, "full", True),
            deny=lambda: setattr(controls, "denied", True),
            lose_answer=lose_answer,
            reports_wait=False,
            port=port,
        )


class _ControlledRedis:
    """Makes Redis fail with its own settings just before a request."""

    def __init__(self, inner: Any, client: Any) -> None:
        self._inner = inner
        self._client = client
        self.full = False
        self.denied = False
        self._refusing = False

    @property
    def limits(self) -> Any:
        return self._inner.limits

    async def send(self, events: Any) -> Any:
        if self.denied and not self._refusing:
            self._refusing = True
            await self._client.config_set("requirepass", NEW_PASSWORD)
            await self._client.client_kill_filter(_type="normal", skipme=True)
        if not self.full:
            return await self._inner.send(events)
        self.full = False
        await self._client.config_set("maxmemory", "1")
        try:
            return await self._inner.send(events)
        finally:
            await self._client.config_set("maxmemory", "0")
