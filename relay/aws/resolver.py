"""Name look-ups of AWS's general clients: in threads of their own, within the connect timeout."""

from __future__ import annotations

import asyncio
import socket

from aiohttp.abc import AbstractResolver, ResolveResult

from relay.http.addresses import Resolve, Resolver


class ClientResolver(AbstractResolver):
    """Looks names up for aiohttp, whose connect timeout does not include that.

    Args:
        timeout: seconds for one look-up.
        resolve: looks names up.
    """

    def __init__(self, timeout: float, resolve: Resolve | None = None) -> None:
        self._timeout = timeout
        self._resolve = resolve or Resolver()

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """The addresses of the host.

        Raises:
            OSError: there are none, or not in time (`TimeoutError`).
        """
        async with asyncio.timeout(self._timeout):
            found = await self._resolve(host, port)
        return [
            ResolveResult(
                hostname=host,
                host=str(entry[4][0]),
                port=port,
                family=entry[0],
                proto=entry[2],
                flags=socket.AI_NUMERICHOST | socket.AI_NUMERICSERV,
            )
            for entry in found
            if family in (socket.AF_UNSPEC, entry[0])
        ]

    async def close(self) -> None:
        """Nothing is held."""
