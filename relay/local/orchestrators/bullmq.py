"""A redis-server of one's own, which has every command on its disk before it answers."""

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
"""Seconds after which a server that does not answer is given up."""

_POLL = 0.02


class RedisServer:
    """Listens while it is entered, on the same port for its whole life, and forgets it all then.

    `options` are more of the program's own.
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
        """Listen.

        Raises:
            OSError: there is no such program, or it does not answer.
        """
        program = shutil.which(PROGRAM)
        if program is None:
            raise FileNotFoundError(f"there is no {PROGRAM}")
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
        """Stop listening; what it has is on its disk."""
        if self._process is not None:
            process, self._process = self._process, None
            if process.returncode is None:
                process.terminate()
            await process.wait()

    async def _answers(self) -> bool:
        if self._process is None or self._process.returncode is not None:
            raise ConnectionError(f"the {PROGRAM} ended by itself")
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", self.port)
        except OSError:
            return False
        writer.close()
        await writer.wait_closed()
        return True


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
