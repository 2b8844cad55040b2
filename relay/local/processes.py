"""Runs the relay as a child process that can be killed, and finds free ports for it."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import socket
import sys
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

FIRST, LAST = 15_000, 29_999
"""The range of `free_port`. It lies below the system's ephemeral ports, so that no other process is
assigned one of these between the check and the start."""

PATIENCE = 30.0
"""Seconds to wait for a process to become ready, or to end."""

CONSOLE_AT = "The console is at "
"""What `relay console` prints before its address."""

_POLL = 0.02


def free_port() -> int:
    """A loopback port that nothing listens on at present."""
    while True:
        port = random.randint(FIRST, LAST)  # noqa: S311 - no secret
        try:
            with socket.create_server(("127.0.0.1", port)):
                return port
        except OSError:
            continue  # taken: try another one


def port_problem(port: int) -> str | None:
    """Why nothing can listen on this loopback port, None if a server can."""
    try:
        with socket.create_server(("127.0.0.1", port)):
            return None
    except OSError as error:
        # The library appends the address to `strerror`.
        return os.strerror(error.errno or 0)


class RelayFailed(Exception):
    """The process ended unexpectedly or did not become ready. The text includes its last output."""


class RelayProcess:
    """Runs `relay` with these arguments while entered.

    Args:
        arguments: what follows `relay` on the command line.
        settings: its `RELAY_*` and `AWS_*` variables, in place of those of this process.
        output: the file that its output is appended to.
        port: the port of its `GET /health`; None for a relay that does not listen.
    """

    def __init__(
        self, *arguments: str, settings: Mapping[str, str], output: Path, port: int | None = None
    ) -> None:
        self._arguments = arguments
        self._environment = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("RELAY_", "AWS_"))
        } | dict(settings)
        self._output = output
        self._port = port
        self._process: asyncio.subprocess.Process | None = None

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self.running:
            await self.terminate()

    @property
    def running(self) -> bool:
        """Whether the process is running."""
        return self._process is not None and self._process.returncode is None

    @property
    def pid(self) -> int:
        """The pid of the process, or of the last one if none is running."""
        assert self._process is not None  # noqa: S101 - the caller has started it
        return self._process.pid

    async def start(self) -> None:
        """Start the process and wait until `GET /health` answers 200, if it listens.

        Raises:
            RelayFailed: it ended, or did not answer within `PATIENCE`.
        """
        with self._output.open("ab") as output:
            self._process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                "relay",
                *self._arguments,
                env=self._environment,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=output,
                stderr=output,
            )
        if self._port is not None:
            await self._until_healthy(self._port)

    async def kill(self) -> None:
        """Send SIGKILL and wait for the end."""
        await self._end(signal.SIGKILL)

    async def terminate(self) -> int:
        """Send SIGTERM, then SIGKILL if it does not end within `PATIENCE`; its exit code."""
        return await self._end(signal.SIGTERM)

    async def ended(self) -> int:
        """Wait until the process ends, however it does; its exit code."""
        assert self._process is not None  # noqa: S101 - the caller has started it
        return await self._process.wait()

    async def printed(self, beginning: str) -> str:
        """The rest of the first line of its output that begins like this, once it is there.

        Raises:
            RelayFailed: it ended before, or did not print it within `PATIENCE`.
        """
        try:
            async with asyncio.timeout(PATIENCE):
                while True:
                    lines = self.output(1_000).splitlines()
                    found = [one for one in lines if one.startswith(beginning)]
                    if found:
                        return found[0].removeprefix(beginning)
                    if not self.running:
                        raise RelayFailed(f"the process ended during startup:\n{self.output()}")
                    await asyncio.sleep(_POLL)
        except TimeoutError:
            raise RelayFailed(f"the process prints nothing:\n{self.output()}") from None

    def output(self, lines: int = 15) -> str:
        """The last lines of its output."""
        text = self._output.read_text(errors="replace") if self._output.exists() else ""
        return "\n".join(text.splitlines()[-lines:])

    async def _end(self, number: signal.Signals) -> int:
        process = self._process
        if process is None or process.returncode is not None:
            raise RelayFailed(f"the relay ended unexpectedly:\n{self.output()}")
        process.send_signal(number)
        try:
            async with asyncio.timeout(PATIENCE):
                return await process.wait()
        except TimeoutError:
            process.kill()
            return await process.wait()

    async def _until_healthy(self, port: int) -> None:
        try:
            async with asyncio.timeout(PATIENCE):
                while not await _healthy(port):
                    if not self.running:
                        raise RelayFailed(f"the relay ended during startup:\n{self.output()}")
                    await asyncio.sleep(_POLL)
        except TimeoutError:
            raise RelayFailed(f"the relay does not answer:\n{self.output()}") from None


async def _healthy(port: int) -> bool:
    """Whether `GET /health` answers 200."""
    try:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return False
    try:
        writer.write(b"GET /health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        status = await reader.readline()
    except OSError:
        return False
    finally:
        writer.close()
    return b" 200 " in status
