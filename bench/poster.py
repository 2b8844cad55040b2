"""What the worker daemon does to push mode: keep connections busy, a message a request."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime
from types import TracebackType
from typing import Self

from bench.contestant import Running
from bench.failure import Failed
from bench.harness import WITHIN

_OK = b" 200 "


class Refused(Exception):
    """A message was not taken."""


async def deliver(
    running: Running, queue: str, bodies: Iterator[str], connections: int
) -> list[float]:
    """Post these messages over so many connections; for how long each was on its way, seconds.

    Raises:
        Failed: the contestant has ended, takes no message or takes too long.
    """
    taken: list[float] = []

    async def keep_busy() -> None:
        async with Caller(running.port, queue) as caller:
            for body in bodies:
                start = await caller.post(body)
                taken.append(time.time() - start)

    try:
        async with asyncio.timeout(WITHIN), asyncio.TaskGroup() as group:
            for _ in range(connections):
                group.create_task(keep_busy())
    except (ExceptionGroup, TimeoutError) as error:
        cause = error.exceptions[0] if isinstance(error, ExceptionGroup) else error
        raise Failed(f"{running.name} did not take a message: {cause!r}") from error
    return taken


class Caller:
    """One connection of the daemon's; an async context manager."""

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
        """Post a message and wait for the answer; when it was posted, seconds since the epoch.

        Raises:
            Refused: the answer is another than 200.
        """
        asked = request(body.encode(), self._queue)
        start = time.time()
        self._writer.write(asked)
        await self._answered()
        return start

    async def _answered(self) -> None:
        head = await self._reader.readuntil(b"\r\n\r\n")
        lower = head.lower()
        if b"content-length:" in lower:
            length = int(lower.partition(b"content-length:")[2].partition(b"\r\n")[0])
            await self._reader.readexactly(length)
        if _OK not in head[:20]:
            raise Refused(head[:40].decode("latin-1"))


def request(body: bytes, queue: str) -> bytes:
    """A POST of the daemon's, as Elastic Beanstalk documents it."""
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
