"""Opens the connections of the HTTP client: name, addresses, proxy, TLS."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable
from typing import TypeVar, cast

from aiohappyeyeballs import start_connection

from relay.http.addresses import Resolve
from relay.http.connection import Connection, NotConnected
from relay.http.proxies import Proxy, TunnelAnswer, check_tunnel, proxy_unreachable
from relay.http.tls import default_context

NEXT_ADDRESS = 0.25
"""Seconds until a connection to the next address of a name is tried too (RFC 8305)."""

_Protocol = TypeVar("_Protocol", bound=asyncio.Protocol)


class Dialer:
    """Opens connections to one server.

    Args:
        host: the server's name or address.
        port: its port.
        timeout: seconds for everything: look-up, connection, proxy and TLS.
        resolve: looks up the names of server and proxy.
        tls: returns the TLS context; None for a server without TLS.
        proxy: the proxy to go through; None to go direct.
    """

    def __init__(
        self,
        host: str,
        port: int,
        *,
        timeout: float,
        resolve: Resolve,
        tls: Callable[[], ssl.SSLContext] | None,
        proxy: Proxy | None,
    ) -> None:
        self._host = host
        self._port = port
        self._timeout = timeout
        self._resolve = resolve
        self._tls = tls
        self._proxy = proxy

    async def connect(self) -> Connection:
        """A new connection.

        Raises:
            NotConnected: nothing was sent. With a proxy `__cause__` may be a `ProxyFailed`.
        """
        try:
            async with asyncio.timeout(self._timeout):
                if self._proxy is None:
                    return await self._dial(Connection, self._host, self._port, self._tls)
                return await self._through(self._proxy)
        except (OSError, UnicodeError) as error:  # UnicodeError: a name that is too long for DNS
            cause: Exception = error
            if self._proxy is not None and isinstance(error, TimeoutError):
                cause = proxy_unreachable(self._proxy, error)
            raise NotConnected(f"no connection to {self._host}: {cause}") from cause

    async def _through(self, proxy: Proxy) -> Connection:
        if self._tls is None:
            return await self._to_proxy(Connection, proxy)
        tunnel = await self._to_proxy(_Tunnel, proxy)
        try:
            await self._open(tunnel, proxy)
            connection = Connection()
            transport = await asyncio.get_running_loop().start_tls(
                tunnel.transport, connection, self._tls(), server_hostname=self._host
            )
        except BaseException:
            tunnel.transport.abort()
            raise
        if transport is None:  # closed meanwhile
            raise ConnectionResetError("the connection was closed")
        connection.connection_made(transport)
        return connection

    async def _open(self, tunnel: _Tunnel, proxy: Proxy) -> None:
        try:
            status = await tunnel.open(proxy.connect_request(self._host, self._port))
        except ConnectionError as error:
            raise proxy_unreachable(proxy, error) from error
        check_tunnel(proxy, status, self._host)

    async def _to_proxy(self, protocol: Callable[[], _Protocol], proxy: Proxy) -> _Protocol:
        tls = default_context if proxy.scheme == "https" else None
        try:
            return await self._dial(protocol, proxy.host, proxy.port, tls)
        except (OSError, UnicodeError) as error:
            raise proxy_unreachable(proxy, error) from error

    async def _dial(
        self,
        protocol: Callable[[], _Protocol],
        host: str,
        port: int,
        tls: Callable[[], ssl.SSLContext] | None,
    ) -> _Protocol:
        found = await self._resolve(host, port)
        # The event loop's own happy eyeballs leaks a socket if it is cancelled.
        sock = await start_connection(found, happy_eyeballs_delay=NEXT_ADDRESS)
        _, opened = await asyncio.get_running_loop().create_connection(
            protocol,
            sock=sock,
            ssl=tls() if tls else None,
            server_hostname=host if tls else None,
        )
        return opened


class _Tunnel(asyncio.Protocol):
    """Asks a proxy for a tunnel."""

    def __init__(self) -> None:
        self.transport: asyncio.Transport
        self._status: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._answer = TunnelAnswer()

    async def open(self, request: bytes) -> int:
        """The status of the proxy's answer."""
        self.transport.write(request)
        return await self._status

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)  # other loops have no subclass

    def connection_lost(self, exc: Exception | None) -> None:
        del exc
        self.data_received(b"")

    def data_received(self, data: bytes) -> None:
        # The server behind the proxy says nothing before it is spoken to.
        if self._status.done():
            return
        try:
            status = self._answer.feed(data)
        except ConnectionError as error:
            self._status.set_exception(error)
        else:
            if status is not None:
                self._status.set_result(status)
