"""The application that the daemon posts to: a pool of keep-alive connections, each watched."""

from __future__ import annotations

import asyncio
from urllib.parse import urlsplit

from relay.local.clock import Clock
from relay.local.sqsd.connection import Connection

SHORTEST_SLEEP = 0.001


class Target:
    """The connections to one application. How many are open at once is its caller's affair.

    Args:
        url: `http://host:port`; a path in it is not used.
        connect_timeout: real seconds: the network knows no other clock.
        inactivity_timeout: seconds on `clock`.
        clock: what silence is measured by.
    """

    def __init__(
        self, url: str, *, connect_timeout: float, inactivity_timeout: float, clock: Clock
    ) -> None:
        parts = urlsplit(url)
        if parts.scheme != "http" or parts.hostname is None:
            raise ValueError(f"The target must be an http:// URL, not {url!r}.")
        self.host = parts.netloc
        self._address = (parts.hostname, parts.port or 80)
        self._connect_timeout = connect_timeout
        self._inactivity_timeout = inactivity_timeout
        self._clock = clock
        self._idle: list[Connection] = []
        self._busy: set[Connection] = set()

    async def connect(self) -> Connection:
        """A connection that nobody uses, a kept one if there is any.

        Raises:
            OSError: it was refused, or not accepted within the connect timeout.
        """
        while self._idle:
            kept = self._idle.pop()
            if kept.usable:
                return kept
        loop = asyncio.get_running_loop()
        async with asyncio.timeout(self._connect_timeout):
            _, opened = await loop.create_connection(
                lambda: Connection(self._clock), *self._address
            )
        return opened

    async def post(self, connection: Connection, request: bytes) -> int:
        """Post by a connection from `connect`, which comes back to the pool; the answer's status.

        Raises:
            NoAnswer: as `Connection.post`.
        """
        self._busy.add(connection)
        try:
            status = await connection.post(request)
        finally:
            self._busy.discard(connection)
        if connection.usable:
            self._idle.append(connection)
        return status

    async def watch(self) -> None:
        """Cut each connection whose answer has been silent for the inactivity timeout. For ever."""
        while True:
            now = self._clock.time()
            for connection in [c for c in self._busy if self._due(c) <= now]:
                self._busy.discard(connection)
                connection.cut()
            # One that starts during the sleep is due later than this one ends.
            due = min(map(self._due, self._busy), default=now + self._inactivity_timeout)
            await self._clock.sleep(max(due - now, SHORTEST_SLEEP))

    def abort(self) -> None:
        """Close everything at once."""
        for connection in (*self._busy, *self._idle):
            connection.abort()
        self._idle.clear()

    def _due(self, connection: Connection) -> float:
        return connection.touched + self._inactivity_timeout
