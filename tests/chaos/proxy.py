"""A proxy that sees every request and every answer, and can spoil or hold up any of them."""

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
"""One of the two is gone; the other is told by the end of its connection."""
_LENGTH = re.compile(rb"(?i)\r\ncontent-length: *(\d+)")
_TARGET = re.compile(rb"(?i)\r\nx-amz-target: *\w+\.(\w+)")
_ABOUT = re.compile(rb'"QueueUrl": ?"[^"]*/([^"/]+)"|"(sending|delivered|dead_lettered)#')


class Spoil(Enum):
    """What becomes of an exchange."""

    RESET = "the connection is reset"
    CUT = "half of the answer arrives"


class Moment(Enum):
    """When an exchange is looked at: before the request goes on, or before its answer goes back."""

    ASKED = "before"
    ANSWERED = "after"


@dataclass(frozen=True)
class Exchange:
    """A request on its way; `label` names its kind, `SQS SendMessageBatch dead` for instance."""

    label: str
    head: bytes
    body: bytes


_Streams: TypeAlias = tuple[asyncio.StreamReader, asyncio.StreamWriter]
Look: TypeAlias = Callable[[Exchange, Moment], Awaitable[Spoil | None]]
"""Sees an exchange at both of its moments; may take its time, and may spoil it."""


async def untouched(_exchange: Exchange, _moment: Moment) -> Spoil | None:
    """Let everything through."""
    return None


class Proxy:
    """Forwards HTTP/1.1 from a port of its own to `port`, an exchange at a time a connection.

    A `gateway` answers 502 where the other side is gone, as nginx does; others close too.
    """

    def __init__(self, name: str, port: int, *, gateway: bool = False) -> None:
        self.name = name
        self._gateway = gateway
        self.look: Look = untouched
        self.port = 0
        self._target = port
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @contextlib.asynccontextmanager
    async def listening(self) -> AsyncIterator[Proxy]:
        """Listen for as long as the block runs."""
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
                above: _Streams | None = None
                while True:
                    head, body = await _read(reader)
                    exchange = Exchange(self._label(head, body), head, body)
                    try:
                        if above is None:
                            above = await asyncio.open_connection(
                                "127.0.0.1", self._target, limit=LIMIT
                            )
                            sides.callback(above[1].close)
                        if not await self._exchange(exchange, reader, writer, above):
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
        above: _Streams,
    ) -> bool:
        """Whether the connection can be used again."""
        answers, upwards = above
        if await self.look(exchange, Moment.ASKED) is not None:
            _reset(writer)
            return False
        upwards.write(exchange.head + exchange.body)
        answer = await _unless_gone(_read_answer(answers), reader)
        if answer is None:
            return False
        whole, complete = answer
        spoil = await self.look(exchange, Moment.ANSWERED)
        if spoil is Spoil.RESET:
            _reset(writer)
            return False
        writer.write(whole[: len(whole) // 2] if spoil is Spoil.CUT else whole)
        await writer.drain()
        return complete and spoil is None

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


async def _read(reader: asyncio.StreamReader) -> tuple[bytes, bytes]:
    head = await reader.readuntil(b"\r\n\r\n")
    length = _LENGTH.search(head)
    return head, await reader.readexactly(int(length[1])) if length else b""


async def _read_answer(reader: asyncio.StreamReader) -> tuple[bytes, bool]:
    """The answer's bytes, and whether all of them came."""
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
    """The answer, or None where whoever asked is gone before it came."""
    answering = asyncio.ensure_future(answer)
    leaving = asyncio.ensure_future(_gone(reader))
    try:
        await asyncio.wait({answering, leaving}, return_when=asyncio.FIRST_COMPLETED)
        return answering.result() if answering.done() else None
    finally:
        for one in (answering, leaving):
            one.cancel()
        await asyncio.gather(answering, leaving, return_exceptions=True)


async def _gone(reader: asyncio.StreamReader) -> None:
    # Clients send nothing before the answer came, so only the end of the connection ends this.
    while not reader.at_eof():  # noqa: ASYNC110 - a read would take bytes of the next request
        await asyncio.sleep(0.02)


def _reset(writer: asyncio.StreamWriter) -> None:
    wire: socket.socket = writer.get_extra_info("socket")
    wire.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
    writer.transport.abort()
