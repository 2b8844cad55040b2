"""The transport of the httpx clients: repeats a request that a stale connection lost."""

from __future__ import annotations

import asyncio
import ssl
from types import TracebackType
from typing import Any, Self

import httpx

from relay.http.client import STALE_WITHIN

_NO_ANSWER = "Server disconnected without sending a response."
"""httpcore's message for a connection that was closed before the head of an answer."""


class RepeatingTransport(httpx.AsyncBaseTransport):
    """Sends a request once more if the server closed the idle connection that it was sent on.

    All requests of the relay to a destination carry an id and are harmless when they are done
    twice. The second attempt is on a new connection. Nothing else is repeated: no request on a new
    connection, none whose answer had begun or that took longer than a stale connection needs to
    break.

    Args:
        tls: the TLS context.
        connections: the most connections at a time.
        keep_alive: seconds that an idle connection is kept open.
        stale_within: seconds within which a broken connection counts as stale.
    """

    def __init__(
        self,
        tls: ssl.SSLContext,
        *,
        connections: int,
        keep_alive: float,
        stale_within: float = STALE_WITHIN,
    ) -> None:
        def transport(kept: int) -> httpx.AsyncHTTPTransport:
            limits = httpx.Limits(
                max_connections=connections,
                max_keepalive_connections=kept,
                keepalive_expiry=keep_alive,
            )
            return httpx.AsyncHTTPTransport(verify=tls, limits=limits, trust_env=False)

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
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout):
            raise first from None  # the server may have taken the request


def _unanswered(error: httpx.TransportError) -> bool:
    return not isinstance(error, httpx.RemoteProtocolError) or str(error) == _NO_ANSWER
