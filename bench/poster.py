"""Posts messages as the worker daemon does: one message per request, on busy connections."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime
from types import TracebackType
from typing import Self

from bench.contestant import Running
from bench.harness import WITHIN
from bench.server_process import BenchmarkFailed

_OK = b" 200 "


class Refused(Exception):
    """The response was not 200."""


async def deliver(
    running: Running, queue: str, bodies: Iterator[str], connections: int
) -> list[float]:
    """Post these messages over this many connections; returns the seconds of each request.

    Raises:
        BenchmarkFailed: the contestant has ended, refuses a message or takes too long.
    """
    times: list[float] = []

    async def keep_busy() -> None:
        async with Caller(running.port, queue) as caller:
            for body in bodies:
                start = await caller.post(body)
                times.append(time.time() - start)

    try:
        async with asyncio.timeout(WITHIN), asyncio.TaskGroup() as group:
            for _ in range(connections):
                group.create_task(keep_busy())
    except (ExceptionGroup, TimeoutError) as error:
        cause = error.exceptions[0] if isinstance(error, ExceptionGroup) else error
        raise BenchmarkFailed(f"{running.name} did not accept a message: {cause!r}") from error
    return times


class Caller:
    """One connection of the daemon; an async context manager."""

    def __init__(self, port: int, queue: str) -> None:
        self._port = port
        self._queue = queue.rpartition("/")[2]
        self._reader: asyncio.StreamReader
        self._writer: asyncio.StreamWriter

    async def __aenter__(self) -> Self:
        self._reader, self._writer = await asyncio.open_connection("127.0.0.1", self._port)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._writer.close()

    async def post(self, body: str) -> float:
        """Post a message and wait for the response; returns when it was posted, in epoch seconds.

        Raises:
            Refused: the response is not 200.
        """
        data = request(body.encode(), self._queue)
        start = time.time()
        self._writer.write(data)
        await self._read_response()
        return start

    async def _read_response(self) -> None:
        head = await self._reader.readuntil(b"\r\n\r\n")
        lower = head.lower()
        if b"content-length:" in lower:
            length = int(lower.partition(b"content-length:")[2].partition(b"\r\n")[0])
            await self._reader.readexactly(length)
        if _OK not in head[:20]:
            raise Refused(head[:40].decode("latin-1"))


def request(body: bytes, queue: str) -> bytes:
    """A POST of the daemon, as documented by Elastic Beanstalk."""
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    head = (
        "POST / HTTP/1.1\r\nHost: localhost\r\nUser-Agent: aws-sqsd/3.0.4\r\n"
        "Content-Type: application/json\r\n"
        f"X-Aws-Sqsd-Msgid: {uuid.uuid4()}\r\nX-Aws-Sqsd-Queue: {queue}\r\n"
        f"X-Aws-Sqsd-Receive-Count: 1\r\nX-Aws-Sqsd-First-Received-At: {now}\r\n"
        f"X-Aws-Sqsd-Sent-At: {now}\r\nX-Aws-Sqsd-Sender-Id: AIDAEXAMPLE\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body
