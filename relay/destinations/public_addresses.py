"""The check that keeps webhooks off private addresses, whatever form such an address has."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator, Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

from relay.http.addresses import AddressInfo, Resolve, Resolver
from relay.model.destination import Unavailable

_UNICAST = IPv6Network("2000::/3")
"""All that IANA has allocated as global unicast addresses."""

_NAT64 = IPv6Network("64:ff9b::/96")
"""RFC 6052. A translator in the network connects to the IPv4 address at its end."""

_SPECIAL_V4 = tuple(map(IPv4Network, ("192.0.0.0/24", "192.88.99.0/24")))
_SPECIAL_V6 = tuple(map(IPv6Network, ("2001::/23", "2001:db8::/32", "3fff::/20")))
"""Of IANA's registries of special-purpose addresses, what some versions of Python call global.
2001::/23 contains Teredo (2001::/32)."""

_ISATAP = (0x00005EFE, 0x02005EFE)
"""RFC 5214: the second last 32 bits of an address whose last 32 bits are an IPv4 address."""


def is_public(address: str) -> bool:
    """Whether the address, and any IPv4 address embedded in it, is on the public internet."""
    try:
        found = ip_address(address.partition("%")[0])
    except ValueError:
        return False
    if isinstance(found, IPv4Address):
        return _is_public_v4(found)
    if found.ipv4_mapped is not None:
        return _is_public_v4(found.ipv4_mapped)
    if not all(map(_is_public_v4, _embedded(found))):
        return False
    return found in _NAT64 or (
        found in _UNICAST and found.is_global and not any(found in net for net in _SPECIAL_V6)
    )


def _is_public_v4(address: IPv4Address) -> bool:
    return (
        address.is_global
        and not (address.is_multicast or address.is_reserved)
        and not any(address in network for network in _SPECIAL_V4)
    )


def _embedded(address: IPv6Address) -> Iterator[IPv4Address]:
    """The IPv4 addresses that a translator or tunnel would connect to."""
    last = IPv4Address(int(address) & 0xFFFFFFFF)
    if address in _NAT64 or (int(address) >> 32) & 0xFFFFFFFF in _ISATAP:
        yield last
    if address.sixtofour is not None:
        yield address.sixtofour


class PublicAddressResolver:
    """Resolves a host name to its addresses, if all of them are allowed."""

    def __init__(
        self,
        setting: str,
        *,
        resolve: Resolve | None = None,
        allowed: Callable[[str], bool] = is_public,
    ) -> None:
        self._setting = setting
        self._resolve = resolve or Resolver()
        self._permitted = allowed

    async def __call__(self, host: str, port: int) -> Sequence[AddressInfo]:
        """The addresses to connect to, in the order in which to try them.

        Raises:
            Unavailable: there is none, or one of them is private.
        """
        try:
            found = await self._resolve(host, port)
        except (socket.gaierror, UnicodeError) as error:
            # UnicodeError: a name that is too long for DNS.
            unknown = isinstance(error, UnicodeError) or error.errno == socket.EAI_NONAME
            setting = self._setting if unknown else None
            raise Unavailable(
                f"the name {host} does not resolve",
                setting=setting,
                proven=True,
                not_accepted=True,
            ) from None
        if not found or not all(self._permitted(str(entry[4][0])) for entry in found):
            raise Unavailable(
                f"{host} is a private address, which RELAY_WEBHOOK_ALLOW_PRIVATE=true would allow",
                setting=self._setting,
                proven=True,
                not_accepted=True,
            )
        return found
