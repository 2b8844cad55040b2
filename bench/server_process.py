"""Server processes that take commands: one JSON line each way, each on the CPU it is given."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import sys
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self, TypeAlias

Commands: TypeAlias = Mapping[str, Callable[..., Any]]

Cpus: TypeAlias = frozenset[int] | None
"""CPUs by number; None for any."""

_LIMIT = 2**26
"""Bytes of a line: asyncio's default of 64 KiB would cut a line with many figures."""


class BenchmarkFailed(Exception):
    """The benchmark cannot continue. The text is for the user."""


async def serve_commands(commands: Commands, ready: Any) -> None:
    """Print `ready`, then run the commands that arrive on stdin, until it closes."""
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader(limit=_LIMIT)
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    _write(ready)
    while line := await reader.readline():
        arguments = json.loads(line)
        answer = commands[arguments.pop("command")](**arguments)
        _write(await answer if isinstance(answer, Awaitable) else answer)


def _write(value: Any) -> None:
    sys.stdout.write(json.dumps(value) + "\n")
    sys.stdout.flush()


class ServerProcess:
    """Runs a module that calls `serve_commands`, while entered. `ready` is its first line."""

    def __init__(self, module: str, *arguments: str, cpus: Cpus = None) -> None:
        self._command = (sys.executable, "-m", module, *arguments)
        self._cpus = cpus
        self._process: asyncio.subprocess.Process | None = None
        self.ready: Any = None

    async def __aenter__(self) -> Self:
        with on_cpus(self._cpus):
            self._process = await asyncio.create_subprocess_exec(
                *self._command,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                limit=_LIMIT,
                start_new_session=True,  # Ctrl-C reaches only us; we end the process
            )
        self.ready = await self._read()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        assert self._process is not None
        self._process.kill()
        await self._process.wait()

    @property
    def pid(self) -> int:
        """The pid of the process."""
        assert self._process is not None
        return self._process.pid

    async def call(self, command: str, **arguments: Any) -> Any:
        """Run a command and return its result. One at a time."""
        assert self._process is not None
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps({"command": command, **arguments}).encode() + b"\n")
        await self._process.stdin.drain()
        return await self._read()

    async def _read(self) -> Any:
        assert self._process is not None
        assert self._process.stdout is not None
        line = await self._process.stdout.readline()
        if not line:
            raise BenchmarkFailed(f"{' '.join(self._command)} has ended")
        return json.loads(line)


@contextlib.contextmanager
def on_cpus(cpus: Cpus) -> Iterator[None]:
    """Processes started inside run only on these CPUs, with all their threads."""
    if cpus is None or not hasattr(os, "sched_setaffinity"):
        yield
        return
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cpus)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


@dataclass(frozen=True)
class Placement:
    """Which CPUs the servers get, which one a contestant gets, and all that servers leave free.

    All are None if there is only one CPU, or if the system cannot bind processes to CPUs.
    """

    servers: Cpus = None
    contestant: Cpus = None
    free: Cpus = None


def placement() -> Placement:
    """The placement on this machine: the servers share the first CPU."""
    if not hasattr(os, "sched_getaffinity"):
        return Placement()
    found = sorted(os.sched_getaffinity(0))
    if len(found) == 1:
        return Placement()
    return Placement(frozenset(found[:1]), frozenset(found[1:2]), frozenset(found[1:]))
