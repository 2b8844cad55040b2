"""The HTTP client: POSTs to one server over a pool of persistent connections."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Mapping, Sequence
from urllib.parse import urlsplit

from relay.http.addresses import Resolve, Resolver
from relay.http.connection import Connection, IncompleteResponse, NotConnected, Response
from relay.http.dialing import Dialer
from relay.http.proxies import PORTS, Proxy, ProxyFailed, check_plain
from relay.http.tls import default_context, forget_sessions, resuming

STALE_WITHIN = 2.0
"""Seconds. A server that has closed an idle connection refuses the next request within one round
trip. A connection that breaks later was in use."""

_COPIED = 16_384
"""Bytes below which a request is sent as one piece: copying it takes less than sending several."""


class HttpClient:
    """Sends POSTs to one server. Opens no connection before the first; close it with `aclose`.

    Args:
        url: the server. Only the scheme, host and port are used.
        headers: sent with each request, in addition to `host` and `content-length`.
        connections: the most connections at a time. A request waits if all are in use.
        keep_alive: seconds that an idle connection is kept open. It must be below the server's
            own, so that the server does not close a connection just as it is used.
        connect_timeout: seconds for opening a connection, including the look-up of the name, the
            proxy and TLS.
        tls: the context for https. Without it `default_context` is used.
        proxy: the proxy to go through; None to go direct.
        resolve: looks up names; None for a `Resolver` of its own.
        stale_within: seconds within which a broken connection counts as one that had gone stale.
    """

    def __init__(  # noqa: PLR0913 - what one connection consists of
        self,
        url: str,
        headers: Mapping[str, str],
        *,
        connections: int,
        keep_alive: float,
        connect_timeout: float,
        tls: ssl.SSLContext | None = None,
        proxy: Proxy | None = None,
        resolve: Resolve | None = None,
        stale_within: float = STALE_WITHIN,
    ) -> None:
        parts = urlsplit(url)
        secure = parts.scheme == "https"
        place = parts.netloc.rpartition("@")[2]
        # A proxy gets the whole URL of a plain request, and all of its headers.
        self._asked = None if secure else proxy
        self._origin = f"http://{place}" if self._asked else ""
        login = self._asked.headers if self._asked else {}
        self._head = _lines({"host": place, **login, **headers})
        self._host = parts.hostname or ""
        self._keep_alive = keep_alive
        self._tls = tls
        self._stale_within = stale_within
        self._dialer = Dialer(
            self._host,
            parts.port or PORTS[parts.scheme],
            timeout=connect_timeout,
            resolve=resolve or Resolver(),
            tls=self._context if secure else None,
            proxy=proxy,
        )
        self._slots = asyncio.Semaphore(connections)
        self._idle: list[Connection] = []
        self._open: set[Connection] = set()

    async def post(
        self,
        target: str,
        body: bytes | Sequence[bytes | memoryview],
        headers: Mapping[str, str],
        *,
        limit: int,
        repeatable: bool = False,
    ) -> Response:
        """Send one POST and return the response, its body cut after `limit` bytes.

        The pieces of a body are sent one after the other; large ones are not copied.

        A cancellation closes the connection. The request may have arrived.

        A server may close an idle connection just as it is used again. The request is then sent
        once more, on a new connection, if a part of it had not been sent yet, or if it is
        `repeatable` (harmless when it is done twice) and no byte of a response had arrived.

        Raises:
            NotConnected: nothing was sent.
            IncompleteResponse: there was no complete response.
            ValueError: a header or the target contains a line break.
        """
        line = _encoded([f"POST {self._origin}{target} HTTP/1.1\r\n"])
        head = line + self._head + _lines(headers)
        pieces = (body,) if isinstance(body, bytes) else body
        length = sum(map(len, pieces))
        request = [b"%bcontent-length: %d\r\n\r\n" % (head, length), *pieces]
        if length < _COPIED:
            request = [b"".join(request)]
        async with self._slots:
            connection = self._reuse()
            if connection is None:
                return await self._exchange(await self._connect(), request, limit)
            started = asyncio.get_running_loop().time()
            try:
                return await self._exchange(connection, request, limit)
            except IncompleteResponse as error:
                error.stale = self._stale(error, started)
                if not (error.unsent or (repeatable and error.stale)):
                    raise
                first = error
            return await self._exchange(await self._reconnect(first), request, limit)

    async def aclose(self) -> None:
        """Close every connection."""
        for connection in self._open:
            connection.close()
        self._open.clear()
        self._idle.clear()
        # A closed transport closes its socket in the next iteration of the event loop.
        await asyncio.sleep(0)

    async def _exchange(
        self, connection: Connection, request: Sequence[bytes | memoryview], limit: int
    ) -> Response:
        try:
            response = await connection.exchange(request, limit)
            if self._asked is not None:
                check_plain(self._asked, response.status, self._host)
        except ProxyFailed as error:
            connection.close()
            raise NotConnected(f"no connection to {self._host}: {error}") from error
        except BaseException:
            connection.close()
            raise
        else:
            return response
        finally:
            self._put_back(connection)

    def _stale(self, error: IncompleteResponse, started: float) -> bool:
        lasted = asyncio.get_running_loop().time() - started
        return error.unanswered and lasted <= self._stale_within

    async def _reconnect(self, first: IncompleteResponse) -> Connection:
        """A new connection. All idle ones are older than the one that broke."""
        while self._idle:
            self._drop(self._idle.pop())
        try:
            return await self._connect()
        except NotConnected:
            if first.unsent:
                raise
            raise first from None  # the server may have taken the request

    def _reuse(self) -> Connection | None:
        oldest = asyncio.get_running_loop().time() - self._keep_alive
        while self._idle:
            connection = self._idle.pop()
            if connection.idle_since >= oldest and connection.usable:
                return connection
            self._drop(connection)
        return None

    def _put_back(self, connection: Connection) -> None:
        if connection.open:
            connection.idle_since = asyncio.get_running_loop().time()
            self._idle.append(connection)
        else:
            self._drop(connection)

    def _drop(self, connection: Connection) -> None:
        connection.close()
        self._open.discard(connection)

    async def _connect(self) -> Connection:
        try:
            connection = await self._dialer.connect()
        except NotConnected:
            if self._tls is not None:
                forget_sessions(self._tls)
            raise
        self._open.add(connection)
        return connection

    def _context(self) -> ssl.SSLContext:
        if self._tls is None:
            self._tls = default_context()
        return resuming(self._tls)


def _lines(headers: Mapping[str, str]) -> bytes:
    return _encoded([f"{name}: {value}\r\n" for name, value in headers.items()])


def _encoded(lines: Sequence[str]) -> bytes:
    text = "".join(lines)
    if text.count("\r") > len(lines) or text.count("\n") > len(lines):
        raise ValueError("a header or the target contains a line break")
    return text.encode("latin-1")
