"""HTTP clients for Inngest, and the check that keeps webhooks off private addresses.

The clients follow no redirect, read no environment variables and repeat only what a stale
connection lost.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable, Mapping, Sequence
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address

import httpx

from relay.destinations.http_transport import RepeatingTransport
from relay.http import HttpClient
from relay.model.destination import Unavailable
from relay.version import version

Resolve = Callable[[str, int], Awaitable[Sequence[str]]]

CONNECT_TIMEOUT = 5.0
CONNECTIONS = 16

KEEP_ALIVE = 4.0
"""Seconds. Common servers close an idle connection after 5: ours must be closed before that."""

_NAT64 = IPv6Network("64:ff9b::/96")


def is_public(address: str) -> bool:
    """Whether the address, and any IPv4 address embedded in it, is on the public internet."""
    found = ip_address(address.partition("%")[0])
    embedded = _embedded_ipv4(found)
    if embedded is not None:
        return embedded.is_global and not embedded.is_multicast
    return found.is_global and not found.is_multicast


def _embedded_ipv4(address: IPv4Address | IPv6Address) -> IPv4Address | None:
    if isinstance(address, IPv4Address):
        return None
    if address in _NAT64:
        return IPv4Address(int(address) & 0xFFFFFFFF)
    teredo = address.teredo
    return address.ipv4_mapped or address.sixtofour or (teredo[1] if teredo else None)


async def resolve_host(host: str, port: int) -> Sequence[str]:
    """The addresses of a host name, in the order in which to try them."""
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [str(one[4][0]) for one in found]


class PublicAddressResolver:
    """Resolves a host name to its first address, if all of its addresses are allowed."""

    def __init__(
        self,
        setting: str,
        *,
        resolve: Resolve = resolve_host,
        allowed: Callable[[str], bool] = is_public,
    ) -> None:
        self._setting = setting
        self._resolve = resolve
        self._permitted = allowed

    async def __call__(self, host: str, port: int) -> str:
        """The address to connect to.

        Raises:
            Unavailable: there is none, or one of them is private.
        """
        try:
            found = await self._resolve(host, port)
        except socket.gaierror as error:
            setting = self._setting if error.errno == socket.EAI_NONAME else None
            raise Unavailable(
                f"the name {host} does not resolve",
                setting=setting,
                proven=True,
                not_accepted=True,
            ) from None
        if not found or not all(self._permitted(address) for address in found):
            raise Unavailable(
                f"{host} is a private address, which RELAY_WEBHOOK_ALLOW_PRIVATE=true would allow",
                setting=self._setting,
                proven=True,
                not_accepted=True,
            )
        return found[0]


def http_client(timeout: float, headers: Mapping[str, str]) -> httpx.AsyncClient:
    """An httpx client for one server, with `timeout` seconds for each step of a request.

    It requests no content encoding, so that `read_body` may read the raw bytes.
    """
    return httpx.AsyncClient(
        headers={**_default_headers(), **headers},
        # Connecting must time out before the whole request does: a client that is cancelled during
        # a TLS handshake leaves its socket to the garbage collector.
        timeout=httpx.Timeout(timeout, connect=_connect_timeout(timeout)),
        transport=RepeatingTransport(
            httpx.create_ssl_context(trust_env=False),
            connections=CONNECTIONS,
            keep_alive=KEEP_ALIVE,
        ),
        follow_redirects=False,
        trust_env=False,
    )


def post_client(url: str, timeout: float, headers: Mapping[str, str]) -> HttpClient:
    """A client for POSTs only, at a tenth of httpx's CPU: for the request of every batch."""
    return HttpClient(
        url,
        {**_default_headers(), **headers},
        connections=CONNECTIONS,
        keep_alive=KEEP_ALIVE,
        connect_timeout=_connect_timeout(timeout),
        tls=httpx.create_ssl_context(trust_env=False) if url.startswith("https:") else None,
    )


async def read_body(response: httpx.Response, limit: int) -> bytes:
    """The body, read little further than `limit` bytes: an API's answer is not longer.

    The bytes are raw, because a small compressed body can hold gigabytes.
    """
    parts: list[bytes] = []
    size = 0
    async for part in response.aiter_raw(chunk_size=16_384):
        parts.append(part)
        size += len(part)
        if size > limit:
            break
    return b"".join(parts)


def _default_headers() -> dict[str, str]:
    return {
        "accept": "application/json",
        "accept-encoding": "identity",
        "user-agent": f"sqs-relay/{version()}",
    }


def _connect_timeout(timeout: float) -> float:
    return min(CONNECT_TIMEOUT, timeout / 2)
