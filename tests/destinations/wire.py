"""A scripted server on a loopback socket that answers with given bytes and records requests."""

from __future__ import annotations

import asyncio
import contextlib
import json
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

Answering = Callable[["Wire", asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@dataclass
class Wire:
    """`answer` is written after each request was read; `behave` replaces reading and writing."""

    answer: bytes = b""
    behave: Answering | None = None
    requests: list[tuple[str, Mapping[str, str], bytes]] = field(default_factory=list)
    port: int = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def read(self, reader: asyncio.StreamReader) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        line, *rest = head.split("\r\n")
        headers = {
            name.lower(): value.strip()
            for name, _, value in (one.partition(":") for one in rest if one)
        }
        body = await reader.readexactly(int(headers.get("content-length", "0")))
        self.requests.append((line, headers, body))

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while self.behave is None:
                await self.read(reader)
                writer.write(self.answer)
                await writer.drain()
            await self.behave(self, reader, writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            return
        finally:
            writer.close()


@contextlib.asynccontextmanager
async def listening(
    answer: bytes = b"", behave: Answering | None = None, tls: ssl.SSLContext | None = None
) -> AsyncIterator[Wire]:
    wire = Wire(answer, behave)
    tasks: set[asyncio.Task[None]] = set()
    writers: list[asyncio.StreamWriter] = []

    def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers.append(writer)
        task = asyncio.create_task(wire.serve(reader, writer))
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    server = await asyncio.start_server(accept, "127.0.0.1", 0, ssl=tls)
    wire.port = server.sockets[0].getsockname()[1]
    try:
        yield wire
    finally:
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for writer in writers:
            writer.close()
        await asyncio.gather(*(w.wait_closed() for w in writers), return_exceptions=True)


def http(status: int, body: bytes | str = b"", **headers: str) -> bytes:
    payload = body.encode() if isinstance(body, str) else body
    lines = [f"HTTP/1.1 {status} X", f"Content-Length: {len(payload)}"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + payload


def api(status: int, http_status: int | None = None, **fields: Any) -> bytes:
    """An answer in the event API's shape: JSON as text/plain."""
    body = json.dumps({"status": status, **fields})
    return http(http_status or status, body, Content_Type="text/plain; charset=utf-8")
