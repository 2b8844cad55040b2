"""An HTTP proxy of the tests' own, which may demand a password, and the clients to try with it."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

_TARGET = re.compile(r"(\S+) (?:http://)?([^/\s:]+)(?::(\d+))?(\S*) HTTP/1\.1")


@dataclass
class TestProxy:
    """Sends every request to one port of this machine, whatever host it is for.

    Attributes:
        login: the user and password that it demands, as `user:password`; empty for none.
        refusal: the status that it answers instead of connecting; 0 to connect.
        hosts: the hosts that it connected to, with the method of the request.
    """

    __test__ = False

    target: int = 0
    login: str = ""
    refusal: int = 0
    port: int = 0
    hosts: list[tuple[str, str]] = field(default_factory=list)
    _writers: list[asyncio.StreamWriter] = field(default_factory=list)
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
                found = _TARGET.match(head)
                assert found is not None, head
                status = self._status(head)
                if status:
                    writer.write(f"HTTP/1.1 {status} X\r\nContent-Length: 0\r\n\r\n".encode())
                    continue
                self.hosts.append((found[1], found[2]))
                await self._forward(head, found, reader, writer)
                return
        writer.close()

    def _status(self, head: str) -> int:
        sent = re.search(r"(?i)\r\nproxy-authorization: Basic (\S+)\r\n", head)
        given = base64.b64decode(sent[1]).decode() if sent else ""
        return self.refusal or (407 if self.login and given != self.login else 0)

    async def _forward(
        self,
        head: str,
        found: re.Match[str],
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> None:
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self.target)
        self._writers.append(far_writer)
        if found[1] == "CONNECT":
            writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
        else:
            kept = re.sub(r"(?i)proxy-[^\r]*\r\n", "", head[found.end() :])
            far_writer.write(f"{found[1]} {found[4] or '/'} HTTP/1.1{kept}".encode("latin-1"))
        await asyncio.gather(_pump(reader, far_writer), _pump(far_reader, writer))

    def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.append(writer)
        task = asyncio.create_task(self._serve(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def aclose(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for writer in self._writers:
            writer.close()
        closing = (writer.wait_closed() for writer in self._writers)
        await asyncio.gather(*closing, return_exceptions=True)


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while data := await reader.read(65_536):
            writer.write(data)
            await writer.drain()
    except ConnectionError:
        return
    finally:
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()


@contextlib.asynccontextmanager
async def proxying(target: int, login: str = "", refusal: int = 0) -> AsyncIterator[TestProxy]:
    """A proxy for the duration of the block."""
    proxy = TestProxy(target, login, refusal)
    server = await asyncio.start_server(proxy.accept, "127.0.0.1", 0)
    proxy.port = server.sockets[0].getsockname()[1]
    try:
        yield proxy
    finally:
        server.close()
        await proxy.aclose()
