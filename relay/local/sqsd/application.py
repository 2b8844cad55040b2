"""One keep-alive connection to the application: a request at a time, its status as the answer."""

from __future__ import annotations

import asyncio
from typing import cast
from urllib.parse import urlsplit

import httptools

from relay.local.clock import Clock

SWITCHING_PROTOCOLS = 101


class NoAnswer(Exception):
    """The application did not answer as HTTP has it."""


class Closed(NoAnswer):
    """The connection closed before the answer was complete."""


class Silent(NoAnswer):
    """No byte of the answer came for the whole InactivityTimeout."""


class Connection(asyncio.Protocol):
    """A connection that was opened by `loop.create_connection`.

    Attributes:
        touched: when a byte of the answer last came, or when the request was written.
        usable: False once the connection is closed or about to be.
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
        """Write the request and wait for the whole answer; its status.

        A cancelled request closes the connection, so that no late answer meets the next one.

        Raises:
            Closed: the connection closed first.
            Silent: `cut` ended the wait.
            NoAnswer: what came is no HTTP.
        """
        if not self.usable:
            raise Closed("it had closed before the request")
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
        """End the request under way as silent."""
        self._settle(Silent("no answer within the inactivity timeout"))
        self.abort()

    def abort(self) -> None:
        """Close at once, with nothing more written."""
        self.usable = False
        self._transport.abort()

    # What the event loop calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The connection is open."""
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        """Some bytes of an answer came."""
        self.touched = self._clock.time()
        if self._answer is None or self._answer.done():
            self.abort()  # nobody asked
            return
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            self._settle(SWITCHING_PROTOCOLS)
            self.abort()
        except httptools.HttpParserError as error:
            self._settle(NoAnswer(f"the answer is no HTTP: {error}"))
            self.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        """The other side closed, or we did."""
        self.usable = False
        if self._answer is None or self._answer.done():
            return
        status = self._parser.get_status_code()
        if exc is None and status and self._ends_with_close and self._headers_ended:
            self._settle(status)
        else:
            self._settle(Closed("the connection closed before the answer was complete"))

    # What the parser calls.

    def on_message_begin(self) -> None:
        """A status line starts."""
        self._headers_ended = False
        self._ends_with_close = True

    def on_header(self, name: bytes, _value: bytes) -> None:
        """A header: some say where the body ends, else the end of the connection does."""
        if name.lower() in (b"content-length", b"transfer-encoding"):
            self._ends_with_close = False

    def on_headers_complete(self) -> None:
        """All headers came."""
        self._headers_ended = True

    def on_message_complete(self) -> None:
        """The answer is complete, unless it was an interim one."""
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
