"""Relay processes that start in milliseconds and can be killed, stopped and continued."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.chaos.accelerated_clock import AcceleratedClock

PATIENCE = 120.0
"""Real seconds to wait for a process to start or to end."""


class ForkServer:
    """The process that relays are forked from; one for any number of environments.

    Attributes:
        clock: theirs.
    """

    def __init__(self, process: Process, clock: AcceleratedClock) -> None:
        self.clock = clock
        self._process = process
        self._lock = asyncio.Lock()
        self._started: asyncio.Queue[int] = asyncio.Queue(1)
        self._ends: dict[int, asyncio.Future[int]] = {}

    async def fork(self, command: Mapping[str, Any]) -> tuple[int, asyncio.Future[int]]:
        """A new relay: its pid, and a future of its exit code. Cancelling this kills it."""
        forking = asyncio.ensure_future(self._fork(command))
        try:
            return await asyncio.shield(forking)
        except asyncio.CancelledError:
            pid, _ = await forking  # else the next one would take this report for its own
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
            raise

    async def _fork(self, command: Mapping[str, Any]) -> tuple[int, asyncio.Future[int]]:
        assert self._process.stdin is not None
        async with self._lock:
            self._process.stdin.write(json.dumps(command).encode() + b"\n")
            pid = await asyncio.wait_for(self._started.get(), PATIENCE)
        return pid, self._ends[pid]

    async def listen(self) -> None:
        """Read its reports until it ends."""
        assert self._process.stdout is not None
        async for line in self._process.stdout:
            report = json.loads(line)
            pid = report.get("started") or report["ended"]
            end = self._ends.setdefault(pid, asyncio.get_running_loop().create_future())
            if "started" in report:
                self._started.put_nowait(pid)
            else:
                end.set_result(report["code"])
        for end in self._ends.values():
            if not end.done():
                end.set_result(-signal.SIGKILL)


@contextlib.asynccontextmanager
async def fork_server(clock: AcceleratedClock) -> AsyncIterator[ForkServer]:
    """Run a fork server while the block runs; its relays end with it."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.chaos.fork_server", repr(clock.origin), repr(clock.speed)),
        stdin=PIPE,
        stdout=PIPE,
        cwd=Path(__file__).parents[2],
    )
    parent = ForkServer(process, clock)
    reading = asyncio.create_task(parent.listen())
    try:
        yield parent
    finally:
        assert process.stdin is not None
        process.stdin.close()  # it kills its relays and ends
        await process.wait()
        await reading


class RelayEnded(Exception):
    """The relay ended unexpectedly. The text has the end of its output."""


@dataclass
class Relay:
    """`relay` with these arguments, running or not. `port` is None for one that does not listen.

    `killed` has the times of its kills, by its own clock.
    """

    parent: ForkServer
    arguments: Sequence[str]
    environment: Mapping[str, str]
    output: Path
    port: int | None
    mutant: str | None = None
    pid: int = 0
    starts: int = 0
    killed: list[float] = field(default_factory=list)
    _end: asyncio.Future[int] | None = None

    @property
    def running(self) -> bool:
        return self._end is not None and not self._end.done()

    async def start(self) -> None:
        """Start it and, if it listens, wait until it accepts connections."""
        assert not self.running
        command = {
            "arguments": list(self.arguments),
            "environment": dict(self.environment),
            "output": str(self.output),
            "mutant": self.mutant,
        }
        self.starts += 1
        self.pid, self._end = await self.parent.fork(command)
        if self.port is not None:
            await asyncio.wait_for(self._until_listening(self.port), PATIENCE)

    def send(self, number: signal.Signals) -> None:
        """Send a signal; does nothing if it has ended."""
        if self.running:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)

    async def ended(self) -> int:
        """Wait until it has ended; returns the exit code."""
        assert self._end is not None
        return await asyncio.wait_for(asyncio.shield(self._end), PATIENCE)

    async def kill(self) -> None:
        """Send SIGKILL and wait for the end."""
        self.send(signal.SIGKILL)
        self.killed.append(self.parent.clock.time())
        await self.ended()

    async def kill_if_running(self) -> None:
        """Kill it, if it is running."""
        if self.running:
            await self.kill()

    async def terminate(self) -> int:
        """Send SIGTERM and wait for the end; returns the exit code."""
        self.send(signal.SIGTERM)
        return await self.ended()

    def log(self, lines: int = 25) -> str:
        """The last lines of its output."""
        text = self.output.read_text(errors="replace") if self.output.exists() else ""
        return "\n".join(text.splitlines()[-lines:])

    async def _until_listening(self, port: int) -> None:
        while True:
            if not self.running:
                raise RelayEnded(self.log())
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", port)
            except OSError:
                await asyncio.sleep(0.01)
            else:
                writer.close()
                return
