"""Addresses of host names, looked up so that a resolver that hangs holds up nothing else."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeAlias, cast

from relay.http.threads import start_in_thread

Address: TypeAlias = tuple[str, int] | tuple[str, int, int, int]

AddressInfo: TypeAlias = tuple[
    int | socket.AddressFamily,
    int | socket.SocketKind,
    int,
    str,
    Address,
]
"""One entry of `socket.getaddrinfo`."""

Resolve: TypeAlias = Callable[[str, int], Awaitable[Sequence[AddressInfo]]]
"""Returns the addresses of a host name and port, in the order in which to try them."""

LookUp: TypeAlias = Callable[[str, int], Sequence[AddressInfo]]


def _look_up(host: str, port: int) -> Sequence[AddressInfo]:
    # Python's own type also covers systems without IPv6.
    return cast("Sequence[AddressInfo]", socket.getaddrinfo(host, port, type=socket.SOCK_STREAM))


class Resolver:
    """Looks names up in threads of its own, one at a time for each name.

    A look-up cannot be cancelled and may take a minute. The event loop's threads would all be taken
    by the look-ups of one name, and would delay the end of the process.

    Args:
        look_up: the blocking call.
    """

    def __init__(self, look_up: LookUp = _look_up) -> None:
        self._look_up = look_up
        self._pending: dict[tuple[str, int], asyncio.Future[Sequence[AddressInfo]]] = {}

    async def __call__(self, host: str, port: int) -> Sequence[AddressInfo]:
        """The addresses of the host, in the order in which to try them.

        Raises:
            OSError: there are none (`socket.gaierror`).
            UnicodeError: the name cannot be looked up, for instance because it is too long.
        """
        if is_literal(host):
            return _literal(host, port)
        key = host, port
        if key not in self._pending:
            self._pending[key] = self._start(*key)
        # A caller that is cancelled must not cancel the look-up of others.
        return await asyncio.shield(self._pending[key])

    def _start(self, host: str, port: int) -> asyncio.Future[Sequence[AddressInfo]]:
        found = start_in_thread(lambda: self._look_up(host, port), f"look-up of {host}")
        found.add_done_callback(lambda _: self._pending.pop((host, port), None))
        return found


def authority(host: str, port: int) -> str:
    """Host and port as in a URL: an IPv6 address is in brackets."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def is_literal(host: str) -> bool:
    """Whether the host is an address, in any spelling that connecting accepts, and not a name."""
    try:
        _literal(host, 0)
    except (OSError, UnicodeError):
        return False
    return True


def _literal(host: str, port: int) -> Sequence[AddressInfo]:
    return cast(
        "Sequence[AddressInfo]",
        socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST),
    )
