"""The HTTP client of destinations: no redirects, no environment, no second try by itself."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable, Mapping, Sequence
from importlib import metadata
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address

import httpx

from relay.http import HttpClient
from relay.model.destination import Unavailable

Resolve = Callable[[str, int], Awaitable[Sequence[str]]]

_NAT64 = IPv6Network("64:ff9b::/96")


def is_public(address: str) -> bool:
    """Whether the address, and every IPv4 address that it stands for, is on the public internet."""
    found = ip_address(address.partition("%")[0])
    inner = _inner(found)
    if inner is not None:
        return inner.is_global and not inner.is_multicast
    return found.is_global and not found.is_multicast


def _inner(address: IPv4Address | IPv6Address) -> IPv4Address | None:
    if isinstance(address, IPv4Address):
        return None
    if address in _NAT64:
        return IPv4Address(int(address) & 0xFFFFFFFF)
    teredo = address.teredo
    return address.ipv4_mapped or address.sixtofour or (teredo[1] if teredo else None)


async def resolved(host: str, port: int) -> Sequence[str]:
    """The addresses of a name, in the order in which they should be tried."""
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [str(one[4][0]) for one in found]


class OnlyPublic:
    """Gives the first address of a name, if all of its addresses are permitted."""

    def __init__(
        self,
        setting: str,
        *,
        resolve: Resolve = resolved,
        permitted: Callable[[str], bool] = is_public,
    ) -> None:
        self._setting = setting
        self._resolve = resolve
        self._permitted = permitted

    async def __call__(self, host: str, port: int) -> str:
        """The address to connect to.

        Raises:
            Unavailable: there is none, or one of them is private.
        """
        try:
            found = await self._resolve(host, port)
        except socket.gaierror as error:
            wrong = self._setting if error.errno == socket.EAI_NONAME else None
            raise Unavailable(
                f"the name of {host} does not resolve",
                setting=wrong,
                proven=True,
                not_accepted=True,
            ) from None
        if not found or not all(self._permitted(address) for address in found):
            raise Unavailable(
                f"{host} is a private address, and RELAY_WEBHOOK_ALLOW_PRIVATE does not allow that",
                setting=self._setting,
                proven=True,
                not_accepted=True,
            )
        return found[0]


CONNECT_TIMEOUT = 5.0
CONNECTIONS = 16

KEEP_ALIVE = 4.0
"""Seconds. Below the 5 after which common servers close an idle connection, lest we race them."""


def http_client(timeout: float, headers: Mapping[str, str]) -> httpx.AsyncClient:
    """A client for one server, with `timeout` seconds for each step of a request.

    It asks for no encoding, so that `start_of` may read what comes as it is.
    """
    return httpx.AsyncClient(
        headers={**_usual(), **headers},
        # Connecting ends before the whole request does: cut off from outside in the middle of a TLS
        # handshake, the client leaves its socket to the garbage collector.
        timeout=httpx.Timeout(timeout, connect=_to_connect(timeout)),
        limits=httpx.Limits(
            max_connections=CONNECTIONS,
            max_keepalive_connections=CONNECTIONS,
            keepalive_expiry=KEEP_ALIVE,
        ),
        http2=False,
        follow_redirects=False,
        trust_env=False,
    )


def lean_client(url: str, timeout: float, headers: Mapping[str, str]) -> HttpClient:
    """The same for POSTs only, at a tenth of the CPU: for who sends a request for every batch."""
    return HttpClient(
        url,
        {**_usual(), **headers},
        connections=CONNECTIONS,
        keep_alive=KEEP_ALIVE,
        connect_timeout=_to_connect(timeout),
        tls=httpx.create_ssl_context(trust_env=False) if url.startswith("https:") else None,
    )


async def start_of(response: httpx.Response, limit: int) -> bytes:
    """The body, read little further than `limit` bytes: what is longer is no answer of an API.

    Raw, because no encoding was asked for: a small compressed body can hold gigabytes.
    """
    parts: list[bytes] = []
    size = 0
    async for part in response.aiter_raw(chunk_size=16_384):
        parts.append(part)
        size += len(part)
        if size > limit:
            break
    return b"".join(parts)


def _usual() -> dict[str, str]:
    return {
        "accept": "application/json",
        "accept-encoding": "identity",
        "user-agent": f"sqs-relay/{_version()}",
    }


def _to_connect(timeout: float) -> float:
    return min(CONNECT_TIMEOUT, timeout / 2)


def _version() -> str:
    try:
        return metadata.version("sqs-relay")
    except metadata.PackageNotFoundError:
        return "source"
