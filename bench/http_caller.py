"""One connection to an HTTP server that is kept open, for requests made of bytes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

from bench.server_process import BenchmarkFailed


class HttpCaller:
    """A connection; an async context manager.

    Args:
        url: the server's address.
    """

    def __init__(self, url: str) -> None:
        self._parts = urlsplit(url)
        self._reader: asyncio.StreamReader
        self._writer: asyncio.StreamWriter

    async def __aenter__(self) -> Self:
        host, port = self._parts.hostname or "127.0.0.1", self._parts.port or 80
        self._reader, self._writer = await asyncio.open_connection(host, port)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._writer.close()

    async def call(self, request: bytes) -> bytes:
        """Send a whole request; returns the body of the answer.

        Raises:
            BenchmarkFailed: the answer is not 200, or ends early.
        """
        self._writer.write(request)
        try:
            head = (await self._reader.readuntil(b"\r\n\r\n")).lower()
            if b" 200 " not in head[:20]:
                raise BenchmarkFailed(f"answered {head[:20].decode(errors='replace')}")
            if b"transfer-encoding: chunked" in head:
                return b"".join([chunk async for chunk in self._chunks()])
            length = head.partition(b"content-length:")[2].partition(b"\r\n")[0]
            return await self._reader.readexactly(int(length))
        except asyncio.IncompleteReadError as error:
            raise BenchmarkFailed("the answer ends early") from error

    async def _chunks(self) -> AsyncIterator[bytes]:
        size = -1
        while size:
            size = int(await self._reader.readline(), 16)
            yield (await self._reader.readexactly(size + 2))[:size]
