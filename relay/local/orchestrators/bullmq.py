"""The BullMQ emulator: a redis-server process, and a queue whose jobs are recorded as starts."""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import shutil
import tempfile
from collections.abc import Mapping
from types import TracebackType
from typing import Any, Self

from relay.local.orchestrators.server import Starts
from relay.local.processes import free_port

PROGRAM = "redis-server"
PATIENCE = 30.0
"""Seconds to wait for the server to answer."""

_POLL = 0.02

QUEUE = "orders"
_KEY = f"bull:{QUEUE}"
_REFRESH_INTERVAL = 0.2
"""Seconds between reads of the queue."""


class RedisServer:
    """A redis-server that runs while entered, always on the same port.

    Every command is on its disk before it answers, so `down` loses nothing. Leaving deletes it all.
    `options` are added to its command line.
    """

    def __init__(self, *options: str) -> None:
        self._options = options
        self._directory = ""
        self._process: asyncio.subprocess.Process | None = None
        self.port = free_port()

    async def __aenter__(self) -> Self:
        self._directory = tempfile.mkdtemp(prefix="relay-redis-")
        try:
            await self.up()
        except BaseException:
            await self.__aexit__(None, None, None)
            raise
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            await self.down()
        finally:
            shutil.rmtree(self._directory)

    async def up(self) -> None:
        """Start listening.

        Raises:
            OSError: the program is not installed, or does not answer.
        """
        program = shutil.which(PROGRAM)
        if program is None:
            raise FileNotFoundError(f"{PROGRAM} is not installed")
        self._process = await asyncio.create_subprocess_exec(
            *(program, "--port", str(self.port), "--bind", "127.0.0.1"),
            *("--dir", self._directory, "--save", ""),
            *("--appendonly", "yes", "--appendfsync", "always", *self._options),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL,
        )
        for _ in range(int(PATIENCE / _POLL)):
            if await self._answers():
                return
            await asyncio.sleep(_POLL)
        raise ConnectionError(f"the {PROGRAM} does not answer")

    async def down(self) -> None:
        """Stop listening; the data stays on disk."""
        if self._process is not None:
            process, self._process = self._process, None
            if process.returncode is None:
                process.terminate()
            await process.wait()

    async def _answers(self) -> bool:
        if self._process is None or self._process.returncode is not None:
            raise ConnectionError(f"the {PROGRAM} ended unexpectedly")
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", self.port)
        except OSError:
            return False
        writer.close()
        await writer.wait_closed()
        return True


class JobQueue:
    """A BullMQ queue in Redis, while entered. `starts` has the jobs as of the last read, by id."""

    def __init__(self) -> None:
        self._redis = RedisServer()
        library = importlib.import_module("redis.asyncio")
        self._redis_error = importlib.import_module("redis.exceptions").RedisError
        self._client: Any = library.Redis(port=self._redis.port)
        self._refreshing: asyncio.Task[None] | None = None
        self._seen = 0
        self.starts = Starts()

    @property
    def url(self) -> str:
        """The URL of the Redis database."""
        return f"redis://127.0.0.1:{self._redis.port}/0"

    @property
    def settings(self) -> Mapping[str, str]:
        """The settings that make a relay use it."""
        return {"RELAY_BULLMQ_URL": self.url, "RELAY_BULLMQ_QUEUE": QUEUE}

    async def __aenter__(self) -> Self:
        await self._redis.__aenter__()
        self._refreshing = asyncio.create_task(self._keep_refreshing())
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._refreshing is not None:
            self._refreshing.cancel()
            await asyncio.wait({self._refreshing})
        await self._client.aclose()
        await self._redis.__aexit__(kind, error, trace)

    async def up(self) -> None:
        """Start listening again, with all its data."""
        await self._redis.up()

    async def down(self) -> None:
        """Stop listening."""
        await self._redis.down()

    async def refresh(self) -> None:
        """Bring `starts` up to date.

        Raises:
            redis.exceptions.RedisError: Redis does not answer.
        """
        # The newest job comes first. No worker takes any, so those already seen stay at the end.
        waiting = [job.decode() for job in await self._client.lrange(f"{_KEY}:wait", 0, -1)]
        for job in reversed(waiting[: len(waiting) - self._seen]):
            content = await self._client.hget(f"{_KEY}:{job}", "data")
            # A job that is in the queue twice would run twice.
            key = f"{job} again" if job in self.starts.started else job
            self.starts.start(key, content)
            self._seen += 1

    async def _keep_refreshing(self) -> None:
        while True:
            with contextlib.suppress(self._redis_error, OSError):
                await self.refresh()
            await asyncio.sleep(_REFRESH_INTERVAL)
