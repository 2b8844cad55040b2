"""The server's port: one number for its whole life, listening or not."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable

from relay.local.inngest.connection import Connection
from relay.local.inngest.exchange import Reply, Request

_BACKLOG = 1024


class Listener:
    """Listens, stops, and listens again on the same port.

    Args:
        host: an IPv4 address of this machine.
        port: 0 for any free one.
        respond: answers a request.
        refused: asked for each new connection; True closes it unread.
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
        """Take the port. Bound and never listening, the socket keeps it ours while we are down.

        Raises:
            OSError: somebody else has it.
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
        """Give the port up."""
        if self._reserved is not None:
            self._reserved.close()
            self._reserved = None

    async def up(self) -> None:
        """Accept connections."""
        if self._server is None:
            self._server = await asyncio.get_running_loop().create_server(
                lambda: Connection(self._respond, self._connections, self._refused),
                self.host,
                self.port,
                backlog=_BACKLOG,
            )

    async def down(self) -> None:
        """Refuse connections, and reset those that are open."""
        if self._server is not None:
            self._server.close()
            self._server = None
        for connection in tuple(self._connections):
            connection.abort()
        # The aborted sockets are closed by the loop's next turn.
        await asyncio.sleep(0)
