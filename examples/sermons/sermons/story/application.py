"""The application as a process of its own, started again if it ends, as a process manager does."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

import httpx

from relay.local.processes import PATIENCE, free_port

_POLL = 0.1

_START = 120.0
"""Seconds until the application must answer: its imports alone take some of CPU time."""


class Failed(Exception):
    """The application did not start, or could not register its functions. The text says why."""


class Application:
    """Runs `python -m sermons serve` while entered.

    Args:
        port: 0 for any free one.
        data: the directory with the database, the uploads and the streams.
        options: further options of `serve`.
        variables: of the SDK, in place of those of this process.
        log: the file that its output is appended to.
        say: called with a sentence when the process has ended without being asked to.
    """

    def __init__(
        self,
        port: int,
        data: Path,
        options: Mapping[str, str],
        *,
        variables: Mapping[str, str],
        log: Path,
        say: Callable[[str], None],
    ) -> None:
        self._port = port = port or free_port()
        self.url = f"http://127.0.0.1:{port}"
        self._arguments = ["serve", "--port", str(port), "--data", str(data)]
        for name, value in options.items():
            self._arguments += [f"--{name}", value]
        inherited = {k: v for k, v in os.environ.items() if not k.startswith("INNGEST_")}
        self._environment = inherited | dict(variables)
        self._log = log
        self._say = say
        self._process: asyncio.subprocess.Process | None = None
        self._watch: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self._refuse_taken_port()
        try:
            await self._start()
        except BaseException:
            await self._stop()
            raise
        self._watch = asyncio.create_task(self._restart())
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._watch is not None:
            self._watch.cancel()
            await asyncio.gather(self._watch, return_exceptions=True)
        await self._stop()

    def kill(self) -> None:
        """Send SIGKILL. The process is started again."""
        if self._process is not None:
            self._process.send_signal(signal.SIGKILL)

    async def register(self) -> None:
        """Have the application register its functions with the orchestrator.

        Raises:
            Failed: the orchestrator refused, or does not answer.
        """
        async with httpx.AsyncClient(trust_env=False, timeout=PATIENCE) as client:
            reply = await client.put(f"{self.url}/api/inngest")
        if reply.status_code != httpx.codes.OK:
            raise Failed(f"the functions could not be registered: {reply.text[:500]}")

    async def _start(self) -> None:
        with self._log.open("ab") as output:
            self._process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                "sermons",
                *self._arguments,
                env=self._environment,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=output,
                stderr=output,
            )
        try:
            async with asyncio.timeout(_START):
                await self._until_healthy(self._process)
        except TimeoutError:
            text = f"the application has not answered for {_START:g} s:\n{self._output()}"
            raise Failed(text) from None

    async def _restart(self) -> None:
        while self._process is not None:
            code = await self._process.wait()
            self._say(f"the application ended with {code}, and is started again")
            try:
                await self._start()
            except Failed as error:
                self._say(str(error))
                return

    async def _stop(self) -> None:
        if self._process is None:
            return
        if self._process.returncode is None:
            self._process.terminate()
        await self._process.wait()

    async def _until_healthy(self, process: asyncio.subprocess.Process) -> None:
        async with httpx.AsyncClient(trust_env=False) as client:
            while True:
                with contextlib.suppress(httpx.TransportError):
                    if (await client.get(f"{self.url}/health")).status_code == httpx.codes.OK:
                        return
                if process.returncode is not None:
                    raise Failed(f"the application ended:\n{self._output()}")
                await asyncio.sleep(_POLL)

    def _refuse_taken_port(self) -> None:
        """Whatever else listens there could answer the health check."""
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", self._port))
            except OSError:
                raise Failed(f"port {self._port} is taken: end what uses it") from None

    def _output(self) -> str:
        return self._log.read_text(errors="replace")[-2000:] or "(it has printed nothing)"
