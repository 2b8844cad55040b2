"""What the worker daemon does to push mode: keep connections busy, a message a request."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from bench.payload import bodies

if TYPE_CHECKING:
    from bench.course import Work

_OK = b" 200 "


class Refused(Exception):
    """A message was not taken."""


async def post(port: int, queue: str, count: int, work: Work, connections: int) -> list[float]:
    """Post so many messages over so many connections; for how long each was on its way, seconds."""
    texts = bodies(count, work.size, work.poison)
    taken: list[float] = []
    async with asyncio.TaskGroup() as group:
        for _ in range(connections):
            group.create_task(_keep_busy(port, queue.rpartition("/")[2], texts, taken))
    return taken


async def _keep_busy(port: int, queue: str, texts: Iterator[str], taken: list[float]) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        for text in texts:
            start = time.time()
            writer.write(request(text.encode(), queue))
            await _answered(reader)
            taken.append(time.time() - start)
    finally:
        writer.close()


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


async def _answered(reader: asyncio.StreamReader) -> None:
    head = await reader.readuntil(b"\r\n\r\n")
    lower = head.lower()
    if b"content-length:" in lower:
        length = int(lower.partition(b"content-length:")[2].partition(b"\r\n")[0])
        await reader.readexactly(length)
    if _OK not in head[:20]:
        raise Refused(head[:40].decode("latin-1"))
