"""The daemon's HTTP client: keep-alive connections to the application."""

from __future__ import annotations

import asyncio
from typing import cast
from urllib.parse import urlsplit

import httptools

from relay.local.clock import Clock

SWITCHING_PROTOCOLS = 101
SHORTEST_SLEEP = 0.001


class NoAnswer(Exception):
    """The application did not send a valid HTTP response."""


class Closed(NoAnswer):
    """The connection closed before the response was complete."""


class Silent(NoAnswer):
    """No byte of the response arrived for the whole InactivityTimeout."""


class Connection(asyncio.Protocol):
    """A connection opened by `loop.create_connection`; one request at a time.

    Attributes:
        touched: when the last byte of the response arrived, or the request was written.
        usable: False once the connection is closed or closing.
    """

    def __init__(self, clock: Clock) -> None:
        self.touched = clock.time()
        self.usable = True
        self._clock = clock
        self._transport: asyncio.Transport
        self._parser: httptools.HttpResponseParser
        self._answer: asyncio.Future[int] | None = None
        self._headers_ended = False
        self._ends_with_close = False

    async def post(self, request: bytes) -> int:
        """Write the request and wait for the whole response; returns its status.

        A cancelled request closes the connection, so that its late response is not taken for the
        next one.

        Raises:
            Closed: the connection closed first.
            Silent: `cut` ended the wait.
            NoAnswer: the response is not HTTP.
        """
        if not self.usable:
            raise Closed("the connection closed before the request")
        self._answer = asyncio.get_running_loop().create_future()
        self._parser = httptools.HttpResponseParser(self)
        self.touched = self._clock.time()
        self._transport.write(request)
        try:
            return await self._answer
        except BaseException:
            self.abort()
            raise

    def cut(self) -> None:
        """Fail the current request with `Silent` and close the connection."""
        self._settle(Silent("no response within the inactivity timeout"))
        self.abort()

    def abort(self) -> None:
        """Close at once, without writing anything more."""
        self.usable = False
        self._transport.abort()

    # Callbacks of the event loop.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The connection is open."""
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        """Parse a part of the response."""
        self.touched = self._clock.time()
        if self._answer is None or self._answer.done():
            self.abort()  # no request is waiting for it
            return
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            self._settle(SWITCHING_PROTOCOLS)
            self.abort()
        except httptools.HttpParserError as error:
            self._settle(NoAnswer(f"the response is not HTTP: {error}"))
            self.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        """Either side closed the connection."""
        self.usable = False
        if self._answer is None or self._answer.done():
            return
        status = self._parser.get_status_code()
        if exc is None and status and self._ends_with_close and self._headers_ended:
            self._settle(status)
        else:
            self._settle(Closed("the connection closed before the response was complete"))

    # Callbacks of the parser.

    def on_message_begin(self) -> None:
        """A response begins."""
        self._headers_ended = False
        self._ends_with_close = True

    def on_header(self, name: bytes, _value: bytes) -> None:
        """A header. Without a length or an encoding, the body ends with the connection."""
        if name.lower() in (b"content-length", b"transfer-encoding"):
            self._ends_with_close = False

    def on_headers_complete(self) -> None:
        """All headers were received."""
        self._headers_ended = True

    def on_message_complete(self) -> None:
        """The response is complete, unless it is an interim one."""
        status = self._parser.get_status_code()
        if status // 100 == 1:
            return
        if not self._parser.should_keep_alive():
            self.usable = False
            self._transport.close()
        self._settle(status)

    def _settle(self, outcome: int | NoAnswer) -> None:
        if self._answer is None or self._answer.done():
            return
        if isinstance(outcome, int):
            self._answer.set_result(outcome)
        else:
            self._answer.set_exception(outcome)


class Target:
    """The connection pool of one application. The caller limits how many are open at once.

    Args:
        url: `http://host:port`; a path is ignored.
        connect_timeout: real seconds, whatever the clock.
        inactivity_timeout: seconds on `clock`.
        clock: measures the inactivity of responses.
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
        """An unused connection: an idle one if there is any, else a new one.

        Raises:
            OSError: the connection was refused, or not accepted within the connect timeout.
        """
        while self._idle:
            idle = self._idle.pop()
            if idle.usable:
                return idle
        loop = asyncio.get_running_loop()
        async with asyncio.timeout(self._connect_timeout):
            _, opened = await loop.create_connection(
                lambda: Connection(self._clock), *self._address
            )
        return opened

    async def post(self, connection: Connection, request: bytes) -> int:
        """Post over a connection from `connect`, which then returns to the pool; the status.

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
        """Cut each connection that was silent for the inactivity timeout. Never returns."""
        while True:
            now = self._clock.time()
            for connection in [c for c in self._busy if self._due(c) <= now]:
                self._busy.discard(connection)
                connection.cut()
            # A request that starts during the sleep is due after the sleep ends.
            due = min(map(self._due, self._busy), default=now + self._inactivity_timeout)
            await self._clock.sleep(max(due - now, SHORTEST_SLEEP))

    def abort(self) -> None:
        """Close all connections at once."""
        for connection in (*self._busy, *self._idle):
            connection.abort()
        self._idle.clear()

    def _due(self, connection: Connection) -> float:
        return connection.touched + self._inactivity_timeout
