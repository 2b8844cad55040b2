"""The transport of the httpx clients: repeats a request that a stale connection lost."""

from __future__ import annotations

import asyncio
import ssl
from types import TracebackType
from typing import Any, Self

import httpx

from relay.destinations.http_pool import PooledTransport
from relay.http.addresses import Resolve, Resolver
from relay.http.client import STALE_WITHIN
from relay.http.tls import default_context

_NO_ANSWER = "Server disconnected without sending a response."
"""httpcore's message for a connection that was closed before the head of an answer."""


class RepeatingTransport(httpx.AsyncBaseTransport):
    """Sends a request once more if the server closed the idle connection that it was sent on.

    All requests of the relay to a destination carry an id and are harmless when they are done
    twice. The second attempt is on a new connection. Nothing else is repeated: no request on a new
    connection, none whose answer had begun or that took longer than a stale connection needs to
    break.

    Args:
        url: the server. Only the scheme, host and port are used. The environment names its proxy.
        connections: the most connections at a time.
        keep_alive: seconds that an idle connection is kept open.
        tls: the TLS context; None for `default_context`.
        resolve: looks up the server's name, see `PooledTransport`.
        stale_within: seconds within which a broken connection counts as stale.
    """

    def __init__(
        self,
        url: str,
        *,
        connections: int,
        keep_alive: float,
        tls: ssl.SSLContext | None = None,
        resolve: Resolve | None = None,
        stale_within: float = STALE_WITHIN,
    ) -> None:
        if tls is None and url.startswith("https:"):
            tls = default_context()
        found = resolve or Resolver()

        def transport(kept: int) -> PooledTransport:
            return PooledTransport(
                url,
                connections=connections,
                idle=kept,
                keep_alive=keep_alive,
                tls=tls,
                resolve=found,
            )

        self._pool = transport(connections)
        self._new = transport(0)
        self._stale_within = stale_within

    async def __aenter__(self) -> Self:
        await self._pool.__aenter__()
        await self._new.__aenter__()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None = None,
        error: BaseException | None = None,
        trace: TracebackType | None = None,
    ) -> None:
        await self._pool.__aexit__(kind, error, trace)
        await self._new.__aexit__(kind, error, trace)

    async def aclose(self) -> None:
        """Close all connections."""
        await self._pool.aclose()
        await self._new.aclose()

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """The answer, of the second attempt if the first was lost."""
        loop = asyncio.get_running_loop()
        started, connected = loop.time(), False

        async def trace(step: str, _info: dict[str, Any]) -> None:
            nonlocal connected
            connected |= step == "connection.connect_tcp.started"

        request.extensions = {**request.extensions, "trace": trace}
        try:
            return await self._pool.handle_async_request(request)
        except (httpx.RemoteProtocolError, httpx.ReadError, httpx.WriteError) as error:
            late = loop.time() - started > self._stale_within
            if connected or late or not _unanswered(error):
                raise
            first = error
        try:
            return await self._new.handle_async_request(request)
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.ProxyError):
            raise first from None  # the server may have taken the request


def _unanswered(error: httpx.TransportError) -> bool:
    return not isinstance(error, httpx.RemoteProtocolError) or str(error) == _NO_ANSWER
