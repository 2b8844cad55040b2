"""Relays as processes that can be killed, stopped and continued, started in milliseconds."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.chaos.accelerated_clock import Haste

PATIENCE = 120.0
"""Real seconds after which a process that does not come up, or does not go, is given up."""


class Zygote:
    """The process that the relays are forked from; one for any number of worlds."""

    def __init__(self, process: Process) -> None:
        self._process = process
        self._turn = asyncio.Lock()
        self._started: asyncio.Queue[int] = asyncio.Queue(1)
        self._ends: dict[int, asyncio.Future[int]] = {}

    async def fork(self, order: Mapping[str, Any]) -> tuple[int, asyncio.Future[int]]:
        """A new relay: its pid, and a future of its exit code."""
        assert self._process.stdin is not None
        async with self._turn:
            self._process.stdin.write(json.dumps(order).encode() + b"\n")
            pid = await asyncio.wait_for(self._started.get(), PATIENCE)
        return pid, self._ends[pid]

    async def listen(self) -> None:
        """Take note of what it tells, until it ends."""
        assert self._process.stdout is not None
        async for line in self._process.stdout:
            told = json.loads(line)
            pid = told.get("started") or told["ended"]
            end = self._ends.setdefault(pid, asyncio.get_running_loop().create_future())
            if "started" in told:
                self._started.put_nowait(pid)
            else:
                end.set_result(told["code"])
        for end in self._ends.values():
            if not end.done():
                end.set_result(-signal.SIGKILL)


@contextlib.asynccontextmanager
async def zygote(haste: Haste) -> AsyncIterator[Zygote]:
    """A zygote for as long as the block runs. Its relays go with it."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.chaos.fork_server", repr(haste.origin), repr(haste.speed)),
        stdin=PIPE,
        stdout=PIPE,
        cwd=Path(__file__).parents[2],
    )
    parent = Zygote(process)
    listening = asyncio.create_task(parent.listen())
    try:
        yield parent
    finally:
        assert process.stdin is not None
        process.stdin.close()  # it kills what it has started, and ends
        await process.wait()
        await listening


class RelayEnded(Exception):
    """It ended by itself. The text has the end of its output."""


@dataclass
class Relay:
    """`relay` with these arguments, up or down. `port` is None for one that does not listen."""

    parent: Zygote
    arguments: Sequence[str]
    environment: Mapping[str, str]
    output: Path
    port: int | None
    mutant: str | None = None
    pid: int = 0
    starts: int = 0
    _end: asyncio.Future[int] | None = None

    @property
    def running(self) -> bool:
        return self._end is not None and not self._end.done()

    async def start(self) -> None:
        """Start it, and wait until it answers if it listens."""
        assert not self.running
        order = {
            "arguments": list(self.arguments),
            "environment": dict(self.environment),
            "output": str(self.output),
            "mutant": self.mutant,
        }
        self.starts += 1
        self.pid, self._end = await self.parent.fork(order)
        if self.port is not None:
            await asyncio.wait_for(self._answering(self.port), PATIENCE)

    def send(self, number: signal.Signals) -> None:
        """Send a signal; does nothing to one that has ended."""
        if self.running:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)

    async def ended(self) -> int:
        """Its exit code, once it has ended."""
        assert self._end is not None
        return await asyncio.wait_for(asyncio.shield(self._end), PATIENCE)

    async def kill(self) -> None:
        """SIGKILL: without warning."""
        self.send(signal.SIGKILL)
        await self.ended()

    async def kill_if_running(self) -> None:
        """The same for one that may be gone, or stopped."""
        if self.running:
            await self.kill()

    async def terminate(self) -> int:
        """SIGTERM; its exit code."""
        self.send(signal.SIGTERM)
        return await self.ended()

    def log(self, lines: int = 25) -> str:
        """The end of what it printed."""
        text = self.output.read_text(errors="replace") if self.output.exists() else ""
        return "\n".join(text.splitlines()[-lines:])

    async def _answering(self, port: int) -> None:
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
