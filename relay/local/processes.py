"""The relay as a process of its own, which can be killed as a machine would kill it."""

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
"""Below the range from which the system itself takes ports when asked for any: nobody is given one
of these between the look and the start."""


def free_port() -> int:
    """A port of loopback that nobody listens on now."""
    while True:
        port = random.randint(FIRST, LAST)  # noqa: S311 - no secret
        try:
            with socket.create_server(("127.0.0.1", port)):
                return port
        except OSError:
            continue  # taken: another one


PATIENCE = 30.0
"""Seconds after which a process that does not come up, or does not go, is given up."""

_POLL = 0.02


class RelayFailed(Exception):
    """The process ended by itself, or did not get ready. The text has the end of its output."""


class RelayProcess:
    """`relay` with these arguments, started on entry and gone on exit.

    Args:
        arguments: what follows `relay` on the command line.
        settings: its `RELAY_*` and `AWS_*` variables, instead of those of this process.
        output: a file that gets its output, appended.
        port: where it answers `GET /health`; None for a relay that does not listen.
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
        """Whether there is a process now."""
        return self._process is not None and self._process.returncode is None

    @property
    def pid(self) -> int:
        """The process's number, the last one's if none is running."""
        assert self._process is not None  # noqa: S101 - started before it is asked
        return self._process.pid

    async def start(self) -> None:
        """Start it and wait until it answers.

        Raises:
            RelayFailed: it does not.
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
            await self._answering(self._port)

    async def kill(self) -> None:
        """SIGKILL: without warning."""
        await self._end(signal.SIGKILL)

    async def terminate(self) -> int:
        """SIGTERM, and SIGKILL if it does not go; its exit code."""
        return await self._end(signal.SIGTERM)

    def output(self, lines: int = 15) -> str:
        """The end of what it printed."""
        text = self._output.read_text(errors="replace") if self._output.exists() else ""
        return "\n".join(text.splitlines()[-lines:])

    async def _end(self, how: signal.Signals) -> int:
        process = self._process
        if process is None or process.returncode is not None:
            raise RelayFailed(f"the relay had ended by itself:\n{self.output()}")
        process.send_signal(how)
        try:
            async with asyncio.timeout(PATIENCE):
                return await process.wait()
        except TimeoutError:
            process.kill()
            return await process.wait()

    async def _answering(self, port: int) -> None:
        try:
            async with asyncio.timeout(PATIENCE):
                while not await _alive(port):
                    if not self.running:
                        raise RelayFailed(f"the relay ended at its start:\n{self.output()}")
                    await asyncio.sleep(_POLL)
        except TimeoutError:
            raise RelayFailed(f"the relay does not answer:\n{self.output()}") from None


async def _alive(port: int) -> bool:
    """Whether `GET /health` says 200."""
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
