"""A proxy that shows every request and response to a test, which can delay or damage them."""

from __future__ import annotations

import asyncio
import contextlib
import re
import socket
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from enum import Enum
from typing import TypeAlias

LIMIT = 4 * 1_048_576
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)
_BAD_GATEWAY = b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
_ENDS = (OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError)
"""One side has closed its connection; the other connection is closed as well."""
_LENGTH = re.compile(rb"(?i)\r\ncontent-length: *(\d+)")
_EXPECT = re.compile(rb"(?i)(?<=\r\n)expect: *100-continue\r\n")
_TARGET = re.compile(rb"(?i)\r\nx-amz-target: *\w+\.(\w+)")
_ABOUT = re.compile(rb'"QueueUrl": ?"[^"]*/([^"/]+)"|"(sending|delivered|dead_lettered)#')


class Damage(Enum):
    """How an exchange is damaged."""

    RESET = "the connection is reset"
    CLOSED = "the connection is closed"
    CUT = "half of the response arrives"


@dataclass(frozen=True)
class Replaced:
    """The response has this JSON instead of its own, with status 200."""

    body: bytes

    @property
    def response(self) -> bytes:
        head = "HTTP/1.1 200 OK\r\nContent-Type: application/x-amz-json-1.0\r\n"
        return f"{head}Content-Length: {len(self.body)}\r\n\r\n".encode() + self.body


class Phase(Enum):
    """When the interceptor is called: before the request or the response is forwarded."""

    REQUEST = "before"
    RESPONSE = "after"


@dataclass(frozen=True)
class Exchange:
    """A request.

    Attributes:
        label: its kind, for example `SQS SendMessageBatch dead`.
        reused: whether its connection had an exchange before.
    """

    label: str
    head: bytes
    body: bytes
    reused: bool = False


_Streams: TypeAlias = tuple[asyncio.StreamReader, asyncio.StreamWriter]
Interceptor: TypeAlias = Callable[[Exchange, Phase], Awaitable[Damage | Replaced | None]]
"""Called in both phases of an exchange; may delay it, and may damage it."""


async def no_interception(_exchange: Exchange, _phase: Phase) -> Damage | None:
    """Forward everything unchanged."""
    return None


class Proxy:
    """Forwards HTTP/1.1 to `port`, one exchange at a time per connection.

    A `gateway` responds with 502 if the server has closed, as nginx does; others just close.
    """

    def __init__(self, name: str, port: int, *, gateway: bool = False) -> None:
        self.name = name
        self._gateway = gateway
        self.intercept: Interceptor = no_interception
        self.port = 0
        self._target = port
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @contextlib.asynccontextmanager
    async def serving(self) -> AsyncIterator[Proxy]:
        """Listen while the block runs."""
        server = await asyncio.start_server(self._accept, "127.0.0.1", 0, limit=LIMIT)
        self.port = server.sockets[0].getsockname()[1]
        try:
            yield self
        finally:
            server.close()
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(self._serve(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(*_ENDS):
            async with contextlib.AsyncExitStack() as sides:
                sides.callback(writer.close)
                upstream: _Streams | None = None
                while True:
                    head, body = await _read(reader, writer)
                    exchange = Exchange(
                        self._label(head, body), head, body, reused=upstream is not None
                    )
                    try:
                        if upstream is None:
                            upstream = await asyncio.open_connection(
                                "127.0.0.1", self._target, limit=LIMIT
                            )
                            sides.callback(upstream[1].close)
                        if not await self._exchange(exchange, reader, writer, upstream):
                            return
                    except _ENDS:
                        if self._gateway:
                            writer.write(_BAD_GATEWAY)
                        raise

    async def _exchange(
        self,
        exchange: Exchange,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        upstream: _Streams,
    ) -> bool:
        """Forward one exchange; whether the connection can be used again."""
        responses, requests = upstream
        damage = await self.intercept(exchange, Phase.REQUEST)
        if damage is not None:
            if damage is not Damage.CLOSED:
                _reset(writer)
            return False
        requests.write(exchange.head + exchange.body)
        answer = await _unless_gone(_read_answer(responses), reader)
        if answer is None:
            return False
        whole, complete = answer
        damage = await self.intercept(exchange, Phase.RESPONSE)
        if damage is Damage.RESET:
            _reset(writer)
            return False
        if isinstance(damage, Replaced):
            whole, damage = damage.response, None
        writer.write(whole[: len(whole) // 2] if damage is Damage.CUT else whole)
        await writer.drain()
        return complete and damage is None

    def _label(self, head: bytes, body: bytes) -> str:
        action = _TARGET.search(head)
        if action is not None:
            about = _ABOUT.search(body)
            what = (about[1] or about[2]).decode() if about else ""
            return f"{self.name} {action[1].decode()} {what}".rstrip()
        method, path = head.split(b" ", 2)[:2]
        first = path.split(b"?")[0].split(b"/")[1:4]
        kept = b"/".join(first[:2] if first[:1] == [b"v1"] else first[:1])
        return f"{self.name} {method.decode()} /{kept.decode()}"


async def _read(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> tuple[bytes, bytes]:
    """The head and body of a request. A client that waits to be asked for the body is asked."""
    head = await reader.readuntil(b"\r\n\r\n")
    head, expecting = _EXPECT.subn(b"", head)
    if expecting:
        writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
    length = _LENGTH.search(head)
    return head, await reader.readexactly(int(length[1])) if length else b""


async def _read_answer(reader: asyncio.StreamReader) -> tuple[bytes, bool]:
    """The bytes of a response, and whether it is complete."""
    head = await reader.readuntil(b"\r\n\r\n")
    length = _LENGTH.search(head)
    if length is None:
        return head + await reader.read(), False
    try:
        body = await reader.readexactly(int(length[1]))
    except asyncio.IncompleteReadError as cut:
        return head + cut.partial, False
    return head + body, b"\r\nconnection: close" not in head.lower()


async def _unless_gone(
    answer: Awaitable[tuple[bytes, bool]], reader: asyncio.StreamReader
) -> tuple[bytes, bool] | None:
    """The response, or None if the client disconnects first."""
    responding = asyncio.ensure_future(answer)
    leaving = asyncio.ensure_future(_gone(reader))
    try:
        await asyncio.wait({responding, leaving}, return_when=asyncio.FIRST_COMPLETED)
        return responding.result() if responding.done() else None
    finally:
        for one in (responding, leaving):
            one.cancel()
        await asyncio.gather(responding, leaving, return_exceptions=True)


async def _gone(reader: asyncio.StreamReader) -> None:
    # Clients send nothing before the response, so only the end of the connection ends this.
    while not reader.at_eof():  # noqa: ASYNC110 - a read would take bytes of the next request
        await asyncio.sleep(0.02)


def _reset(writer: asyncio.StreamWriter) -> None:
    connection: socket.socket = writer.get_extra_info("socket")
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
    writer.transport.abort()
