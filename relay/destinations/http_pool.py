"""The connections of the httpx clients: opened as those of the relay's own HTTP client are.

httpx would look names up in the event loop's threads, which a resolver that hangs would take up.
Its own proxy support sends the wrong request line where the relay keeps secrets out of the URL.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable, Iterator, Sequence
from typing import Any

import httpcore
import httpx

from relay.http.addresses import Address, Resolve, Resolver, is_literal
from relay.http.dialing import NEXT_ADDRESS
from relay.http.proxies import (
    Proxy,
    ProxyFailed,
    TunnelAnswer,
    check_plain,
    check_tunnel,
    proxy_unreachable,
)
from relay.http.proxy_variables import proxy_for
from relay.http.tls import default_context


class PooledTransport(httpx.AsyncBaseTransport):
    """Sends the requests of an httpx client to one server. Nothing is sent twice.

    Args:
        url: the server. Only the scheme, host and port are used. The environment names its proxy.
        connections: the most connections at a time.
        keep_alive: seconds that an idle connection is kept open.
        idle: the most idle connections; None for all of them.
        tls: the TLS context; None for `default_context`.
        resolve: looks up the server's name; None for a `Resolver` of its own. Behind a proxy, which
            looks up names itself, it is called only for an address in place of a name.
    """

    def __init__(
        self,
        url: str,
        *,
        connections: int,
        keep_alive: float,
        idle: int | None = None,
        tls: ssl.SSLContext | None = None,
        resolve: Resolve | None = None,
    ) -> None:
        proxy, secure = proxy_for(url), url.startswith("https:")
        # What a proxy is asked for without a tunnel, it may answer itself.
        self._asked = None if secure else proxy
        self._pool = httpcore.AsyncConnectionPool(
            ssl_context=(tls or default_context()) if secure else None,
            max_connections=connections,
            max_keepalive_connections=connections if idle is None else idle,
            keepalive_expiry=keep_alive,
            network_backend=_Backend(resolve or Resolver(), proxy, tunnel=secure),
        )

    async def aclose(self) -> None:
        """Close all connections."""
        await self._pool.aclose()

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """The server's response.

        Raises:
            httpx.TransportError: there was none. With a proxy a cause may be a `ProxyFailed`.
        """
        with _mapped():
            answer = await self._pool.handle_async_request(self._request(request))
        if self._asked is not None:
            try:
                check_plain(self._asked, answer.status, request.url.host)
            except ProxyFailed as error:
                await answer.aclose()
                raise httpx.ProxyError(str(error)) from error
        return httpx.Response(
            answer.status,
            headers=answer.headers,
            stream=_Stream(answer),
            extensions=answer.extensions,
        )

    def _request(self, request: httpx.Request) -> httpcore.Request:
        url, headers, extensions = request.url, request.headers.raw, request.extensions
        if self._asked is not None:
            # A proxy gets the whole URL, and the login with each request.
            target = extensions.get("target", url.raw_path)
            extensions = {**extensions, "target": b"http://%b%b" % (url.netloc, target)}
            login = self._asked.headers.items()
            headers = [*headers, *((name.encode(), value.encode()) for name, value in login)]
        return httpcore.Request(
            request.method,
            httpcore.URL(
                scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path
            ),
            headers=headers,
            content=request.stream,
            extensions=extensions,
        )


class _Stream(httpx.AsyncByteStream):
    def __init__(self, answer: httpcore.Response) -> None:
        self._answer = answer

    async def __aiter__(self) -> AsyncIterator[bytes]:
        with _mapped():
            async for part in self._answer.aiter_stream():
                yield part

    async def aclose(self) -> None:
        await self._answer.aclose()


@contextlib.contextmanager
def _mapped() -> Iterator[None]:
    """Raise httpx's exceptions for those of httpcore, which have the same names."""
    try:
        yield
    except ProxyFailed as error:
        raise httpx.ProxyError(str(error)) from error
    except Exception as error:
        kind = getattr(httpx, type(error).__name__, None)
        if type(error).__module__.partition(".")[0] != "httpcore" or kind is None:
            raise
        raise kind(str(error)) from error


class _Backend(httpcore.AsyncNetworkBackend):
    """Opens connections to the server, or to its proxy."""

    def __init__(self, resolve: Resolve, proxy: Proxy | None, *, tunnel: bool) -> None:
        self._resolve = resolve
        self._resolve_proxy = Resolver()
        self._proxy = proxy
        self._tunnel = tunnel
        self._tcp = httpcore.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """A connection on which the server can be spoken to, within `timeout` seconds."""
        del local_address, socket_options
        try:
            async with asyncio.timeout(timeout):
                if self._proxy is None:
                    return await self._dial(self._resolve, host, port)
                if is_literal(host):
                    await self._resolve(host, port)  # it may refuse the address
                return await self._through(self._proxy, host, port)
        except TimeoutError as error:
            if self._proxy is not None:
                raise proxy_unreachable(self._proxy, error) from error
            raise httpcore.ConnectTimeout(str(error)) from error
        except (OSError, UnicodeError) as error:  # UnicodeError: a name that is too long for DNS
            if isinstance(error, ProxyFailed):
                raise
            raise httpcore.ConnectError(str(error)) from error

    async def sleep(self, seconds: float) -> None:
        """Wait between attempts, of which there is only one."""
        await asyncio.sleep(seconds)

    async def _through(self, proxy: Proxy, host: str, port: int) -> httpcore.AsyncNetworkStream:
        try:
            stream = await self._dial(self._resolve_proxy, proxy.host, proxy.port)
            if proxy.scheme == "https":
                stream = await stream.start_tls(default_context(), proxy.host)
            return await _tunnelled(stream, proxy, host, port) if self._tunnel else stream
        except (OSError, UnicodeError, httpcore.NetworkError, httpcore.TimeoutException) as error:
            raise proxy_unreachable(proxy, error) from error

    async def _dial(self, resolve: Resolve, host: str, port: int) -> httpcore.AsyncNetworkStream:
        found = [entry[4] for entry in await resolve(host, port)]

        def connect(address: Address) -> Coroutine[Any, Any, httpcore.AsyncNetworkStream]:
            return self._tcp.connect_tcp(address[0], address[1])

        return await (connect(found[0]) if len(found) == 1 else _first(connect, found))


async def _tunnelled(
    stream: httpcore.AsyncNetworkStream, proxy: Proxy, host: str, port: int
) -> httpcore.AsyncNetworkStream:
    answer = TunnelAnswer()
    try:
        await stream.write(proxy.connect_request(host, port))
        while (status := answer.feed(await stream.read(16_384))) is None:
            pass
        check_tunnel(proxy, status, host)
    except BaseException:
        await stream.aclose()
        raise
    return stream


async def _first(
    connect: Callable[[Address], Coroutine[Any, Any, httpcore.AsyncNetworkStream]],
    addresses: Sequence[Address],
) -> httpcore.AsyncNetworkStream:
    """The first connection to one of the addresses, each tried a moment after the one before.

    Raises:
        httpcore.ConnectError: there is none.
    """
    waiting, failed = list(addresses), list[BaseException]()
    running: set[asyncio.Task[httpcore.AsyncNetworkStream]] = set()
    try:
        while waiting or running:
            if waiting:
                running.add(asyncio.create_task(connect(waiting.pop(0))))
            done, running = await asyncio.wait(
                running,
                timeout=NEXT_ADDRESS if waiting else None,
                return_when=asyncio.FIRST_COMPLETED,
            )
            for task in done:
                error = task.exception()
                if error is None:
                    running |= done - {task}
                    return task.result()
                failed.append(error)
    finally:
        for task in running:
            task.cancel()
        for other in await asyncio.gather(*running, return_exceptions=True):
            if isinstance(other, httpcore.AsyncNetworkStream):
                await other.aclose()
    raise failed[0] if failed else OSError("the name has no address")
