"""One client's connection: HTTP/1.1 with the freedom to misbehave on the wire that servers lack."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Awaitable, Callable
from http.client import responses

from relay.local.inngest.exchange import Reply, Request
from relay.local.inngest.reader import RequestReader

_RESET_ON_CLOSE = struct.pack("ii", 1, 0)


class Connection(asyncio.Protocol):
    """Reads requests and writes, one after the other, what `respond` makes of them.

    Args:
        respond: answers a request; its exceptions end the connection and reach the loop's handler.
        live: the set of connections that are open or still at work, kept up to date.
        refused: asked once at the start; True closes the connection before anything is read.
    """

    def __init__(
        self,
        respond: Callable[[Request], Awaitable[Reply]],
        live: set[Connection],
        refused: Callable[[], bool],
    ) -> None:
        self._respond = respond
        self._live = live
        self._refused = refused
        self._transport: asyncio.Transport | None = None
        self._reader = RequestReader(self._take, self._proceed)
        self._task: asyncio.Task[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin, or close at once."""
        if not isinstance(transport, asyncio.Transport):
            raise TypeError("a stream transport is needed")
        if self._refused():
            transport.close()
            return
        self._transport = transport
        self._live.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        """Finish what was read: a server carries a request out, client or not."""
        del exc
        self._transport = None
        self._reader.finish()
        self._retire()

    def data_received(self, data: bytes) -> None:
        """Read on."""
        try:
            self._reader.feed(data)
        except ValueError:
            self._write(Reply(400, b"400 Bad Request"), keep=False)

    def abort(self) -> None:
        """End at once with a reset; what is under way is given up."""
        if self._task is not None:
            self._task.cancel()
        self._reader.forget()
        self._reset()

    def _proceed(self) -> None:
        if self._transport is not None:
            self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def _take(self, request: Request, keep: bool) -> None:  # noqa: FBT001 - the reader's callback
        self._task = asyncio.create_task(self._answer(request, self._task, keep=keep))
        self._task.add_done_callback(self._answered)

    def _retire(self) -> None:
        if self._transport is None and (self._task is None or self._task.done()):
            self._live.discard(self)

    def _answered(self, task: asyncio.Task[None]) -> None:
        self._retire()
        if not task.cancelled() and (error := task.exception()) is not None:
            self._reset()
            context = {"message": "the local event API failed", "exception": error}
            task.get_loop().call_exception_handler(context)

    async def _answer(
        self, request: Request, before: asyncio.Task[None] | None, *, keep: bool
    ) -> None:
        if before is not None:
            # Pipelined requests are answered in their order.
            await before
        self._write(await self._respond(request), keep=keep)

    def _write(self, reply: Reply, *, keep: bool) -> None:
        if self._transport is None:
            return
        if reply.end == "reset":
            self._reset()
        elif reply.end in ("close", "refuse"):
            self._transport.close()
        elif reply.end == "cut":
            self._transport.write(_head(reply, keep=False) + reply.body[: len(reply.body) // 2])
            self._transport.close()
        else:
            self._transport.write(_head(reply, keep=keep) + reply.body)
            if not keep:
                self._transport.close()

    def _reset(self) -> None:
        if self._transport is not None:
            wire = self._transport.get_extra_info("socket")
            wire.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
            self._transport.abort()


def _head(reply: Reply, *, keep: bool) -> bytes:
    headers = {
        "Content-Type": reply.content_type,
        "Content-Length": str(len(reply.body)),
        "Connection": "keep-alive" if keep else "close",
        **reply.headers,
    }
    lines = [f"HTTP/1.1 {reply.status} {responses.get(reply.status, 'Unknown')}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "", ""]).encode("latin-1")
