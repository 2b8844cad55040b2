"""HTTP/1.1 connections that can misbehave on the wire, and the listener that accepts them."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Awaitable, Callable
from http.client import responses

from relay.local.inngest.request import Reply, Request, RequestReader

_RESET_ON_CLOSE = struct.pack("ii", 1, 0)
_BACKLOG = 1024


class Connection(asyncio.Protocol):
    """Reads requests and writes the responses of `respond`, in order.

    Args:
        respond: answers a request; its exceptions end the connection and reach the loop's handler.
        live: the set of connections that are open or still responding, kept up to date.
        refused: called once at the start; True closes the connection before anything is read.
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
        """Start reading, or close at once if `refused`."""
        if not isinstance(transport, asyncio.Transport):
            raise TypeError("a stream transport is needed")
        if self._refused():
            transport.close()
            return
        self._transport = transport
        self._live.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        """Finish what was read: a server completes a request even if its client has gone."""
        del exc
        self._transport = None
        self._reader.finish()
        self._retire()

    def data_received(self, data: bytes) -> None:
        """Parse more of the stream."""
        try:
            self._reader.feed(data)
        except ValueError:
            self._write(Reply(400, b"400 Bad Request"), keep=False)

    def abort(self) -> None:
        """Reset the connection and cancel its request."""
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
            # Pipelined requests are answered in order.
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
            connection = self._transport.get_extra_info("socket")
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
            self._transport.abort()


def _head(reply: Reply, *, keep: bool) -> bytes:
    headers = {
        **({"Content-Type": reply.content_type} if reply.content_type else {}),
        "Content-Length": str(len(reply.body)),
        "Connection": "keep-alive" if keep else "close",
        **reply.headers,
    }
    lines = [f"HTTP/1.1 {reply.status} {responses.get(reply.status, 'Unknown')}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "", ""]).encode("latin-1")


class Listener:
    """Accepts connections; can stop and start again on the same port.

    Args:
        host: an IPv4 address of this machine.
        port: 0 for any free port.
        respond: answers a request.
        refused: called for each new connection; True closes it unread.
    """

    def __init__(
        self,
        host: str,
        port: int,
        respond: Callable[[Request], Awaitable[Reply]],
        refused: Callable[[], bool],
    ) -> None:
        self.host = host
        self.port = port
        self._respond = respond
        self._refused = refused
        self._reserved: socket.socket | None = None
        self._server: asyncio.Server | None = None
        self._connections: set[Connection] = set()

    def bind(self) -> None:
        """Reserve the port with a socket that is bound but never listens, also while down.

        Raises:
            OSError: the port is taken.
        """
        self._reserved = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        self._reserved.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            self._reserved.bind((self.host, self.port))
        except OSError:
            self.release()
            raise
        self.port = self._reserved.getsockname()[1]

    def release(self) -> None:
        """Release the port."""
        if self._reserved is not None:
            self._reserved.close()
            self._reserved = None

    async def up(self) -> None:
        """Start accepting connections."""
        if self._server is None:
            self._server = await asyncio.get_running_loop().create_server(
                lambda: Connection(self._respond, self._connections, self._refused),
                self.host,
                self.port,
                backlog=_BACKLOG,
            )

    async def down(self) -> None:
        """Stop accepting connections and reset the open ones."""
        if self._server is not None:
            self._server.close()
            self._server = None
        for connection in tuple(self._connections):
            connection.abort()
        # The aborted sockets are closed in the next iteration of the loop.
        await asyncio.sleep(0)
