"""Which addresses a webhook may be sent to: the public ones, unless more is allowed.

A URL that somebody else chose can name what only this machine reaches, such as the cloud's metadata
service. The name is resolved here and the connection goes to the address that was looked at, so
that a name cannot answer differently the second time.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable, Sequence
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address

from relay.message import Unavailable

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
                f"the name of {host} does not resolve", setting=wrong, proven=True, untaken=True
            ) from None
        if not found or not all(self._permitted(address) for address in found):
            raise Unavailable(
                f"{host} is a private address, and RELAY_WEBHOOK_PRIVATE does not allow that",
                setting=self._setting,
                proven=True,
                untaken=True,
            )
        return found[0]
