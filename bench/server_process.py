"""Processes that do as they are told, one JSON line at a time, each on the CPU it is given."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import sys
from collections.abc import Awaitable, Callable, Iterator, Mapping
from types import TracebackType
from typing import Any, Self, TypeAlias

from bench.failure import Failed

Orders: TypeAlias = Mapping[str, Callable[..., Any]]


async def obey(orders: Orders, ready: Any) -> None:
    """Say that all is ready, then carry out what comes on stdin, until it closes."""
    loop = asyncio.get_running_loop()
    # The usual 64 KiB would cut a line of many figures.
    reader = asyncio.StreamReader(limit=2**26)
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    _say(ready)
    while line := await reader.readline():
        order = json.loads(line)
        answer = orders[order.pop("do")](**order)
        _say(await answer if isinstance(answer, Awaitable) else answer)


def _say(value: Any) -> None:
    sys.stdout.write(json.dumps(value) + "\n")
    sys.stdout.flush()


class Servant:
    """A process of ours that obeys; an async context manager. `ready` is what it said first."""

    def __init__(self, module: str, *arguments: str, cpu: int | None) -> None:
        self._command = (sys.executable, "-m", module, *arguments)
        self._cpu = cpu
        self._process: asyncio.subprocess.Process | None = None
        self.ready: Any = None

    async def __aenter__(self) -> Self:
        with on_cpu(self._cpu):
            self._process = await asyncio.create_subprocess_exec(
                *self._command,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                limit=2**26,
                start_new_session=True,  # Ctrl-C is for us, who end it
            )
        self.ready = await self._heard()
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
        """The process's number."""
        assert self._process is not None
        return self._process.pid

    async def ask(self, do: str, **order: Any) -> Any:
        """Give an order and return the answer. One at a time."""
        assert self._process is not None
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps({"do": do, **order}).encode() + b"\n")
        await self._process.stdin.drain()
        return await self._heard()

    async def _heard(self) -> Any:
        assert self._process is not None
        assert self._process.stdout is not None
        line = await self._process.stdout.readline()
        if not line:
            raise Failed(f"{' '.join(self._command)} has ended")
        return json.loads(line)


@contextlib.contextmanager
def on_cpu(cpu: int | None) -> Iterator[None]:
    """What is started inside runs on this CPU only, with all its threads; None leaves it free."""
    if cpu is None or not hasattr(os, "sched_setaffinity"):
        yield
        return
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {cpu})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def cpus() -> tuple[int | None, int | None]:
    """A CPU for the servers and one for the process under test; None where there is only one."""
    if not hasattr(os, "sched_getaffinity"):
        return None, None
    found = sorted(os.sched_getaffinity(0))
    return (found[0], found[1]) if len(found) > 1 else (None, None)
