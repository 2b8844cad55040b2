"""A redis-server of one's own, which has every command on its disk before it answers."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from types import TracebackType
from typing import Self

from relay.local.free_port import free_port

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
