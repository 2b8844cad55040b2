"""A resolver of the tests' own."""

from __future__ import annotations

import socket
from collections.abc import Sequence
from typing import cast

from relay.http.addresses import AddressInfo, Resolve


def at(*addresses: str, ports: Sequence[int] = ()) -> Resolve:
    """A resolver that finds these addresses for every name, with ports of their own if given."""

    async def resolve(_host: str, port: int) -> Sequence[AddressInfo]:
        found = list[AddressInfo]()
        for number, address in enumerate(addresses):
            given = ports[number] if ports else port
            entry = socket.getaddrinfo(
                address, given, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST
            )
            found += cast("list[AddressInfo]", entry)
        return found

    return resolve
