"""A queue of BullMQ's in a Redis of its own, whose jobs are counted and never worked on.

It needs the extra `bullmq`, for its Redis client, and a redis-server.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib
from collections.abc import Mapping
from types import TracebackType
from typing import Any, Self

from relay.local.orchestrators.redis_server import RedisServer
from relay.local.orchestrators.starts import Starts

QUEUE = "orders"
_KEY = f"bull:{QUEUE}"
_EVERY = 0.2
"""Seconds between looks at the queue."""


class JobQueue:
    """Listens while it is entered. `starts` has the jobs as of the last look, by id."""

    def __init__(self) -> None:
        self._redis = RedisServer()
        library = importlib.import_module("redis.asyncio")
        self._broken = importlib.import_module("redis.exceptions").RedisError
        self._client: Any = library.Redis(port=self._redis.port)
        self._watching: asyncio.Task[None] | None = None
        self._seen = 0
        self.starts = Starts()

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"redis://127.0.0.1:{self._redis.port}/0"

    @property
    def settings(self) -> Mapping[str, str]:
        """What makes a relay use it."""
        return {"RELAY_BULLMQ_URL": self.url, "RELAY_BULLMQ_QUEUE": QUEUE}

    async def __aenter__(self) -> Self:
        await self._redis.__aenter__()
        self._watching = asyncio.create_task(self._watch())
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._watching is not None:
            self._watching.cancel()
            await asyncio.wait({self._watching})
        await self._client.aclose()
        await self._redis.__aexit__(kind, error, trace)

    async def up(self) -> None:
        """Listen, with all that it had."""
        await self._redis.up()

    async def down(self) -> None:
        """Stop listening."""
        await self._redis.down()

    async def look(self) -> None:
        """Bring `starts` up to date.

        Raises:
            redis.exceptions.RedisError: it does not answer.
        """
        # The newest is the first. Nobody takes any, so what was seen is at the end for good.
        waiting = [job.decode() for job in await self._client.lrange(f"{_KEY}:wait", 0, -1)]
        for job in reversed(waiting[: len(waiting) - self._seen]):
            content = await self._client.hget(f"{_KEY}:{job}", "data")
            # A job that is in the queue twice is worked on twice.
            key = f"{job} again" if job in self.starts.started else job
            self.starts.start(key, content)
            self._seen += 1

    async def _watch(self) -> None:
        while True:
            with contextlib.suppress(self._broken, OSError):
                await self.look()
            await asyncio.sleep(_EVERY)
