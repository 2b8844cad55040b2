"""What is tried in a network namespace of its own: `python -m tests.http.namespace SITUATION`."""

from __future__ import annotations

import asyncio
import socket
import subprocess
import sys

import httpx
from starlette.applications import Starlette

from relay.destinations.http_pool import PooledTransport
from relay.http import HttpClient
from relay.http.listening import CannotListen
from relay.http.server import health_routes, local_url, serving
from tests.http.names import at

APP = Starlette(routes=health_routes(lambda: (True, {})))
SWALLOWS = "10.9.0.2"
"""An address of a network whose packets go nowhere."""


def ip(command: str) -> None:
    subprocess.run(["ip", *command.split()], check=True)


async def answers(url: str) -> bool:
    async with httpx.AsyncClient(trust_env=False) as client:
        try:
            return (await client.get(f"{url}/health")).status_code == httpx.codes.OK
        except httpx.ConnectError:
            return False


async def both_families() -> None:
    """`::` is all of IPv6 and IPv4; a name is each of its addresses."""
    for host in ("::", "localhost"):
        async with serving(APP, host=host) as port:
            assert await answers(f"http://127.0.0.1:{port}"), host
            assert await answers(f"http://[::1]:{port}") == (host == "::" or LOCALHOST_HAS_BOTH)
            assert await answers(local_url(host, port)), host
    async with serving(APP, host="0.0.0.0") as port:
        assert await answers(local_url("0.0.0.0", port))
        assert not await answers(f"http://[::1]:{port}")


async def without_ipv4() -> None:
    """A machine with IPv6 alone."""
    ip("addr del 127.0.0.1/8 dev lo")
    async with serving(APP, host="::") as port:
        assert await answers(f"http://[::1]:{port}")


async def without_ipv6() -> None:
    """A machine with IPv4 alone: a name that also has an IPv6 address listens, `::` says why."""
    ip("addr del ::1/128 dev lo")
    async with serving(APP, host="localhost") as port:
        assert await answers(f"http://127.0.0.1:{port}")
    try:
        async with serving(APP, host="::1"):
            raise AssertionError
    except CannotListen as error:
        assert error.reason.startswith("cannot listen on [::1]:"), error.reason  # noqa: PT017 - no pytest here


async def lost_packets() -> None:
    """An address that swallows packets takes a moment, and the next one is used."""
    ip("link add near type veth peer name far")
    ip("addr add 10.9.0.1/24 dev near")
    for end in ("near", "far"):
        ip(f"link set {end} up")
    async with serving(APP) as port:
        resolve = at(SWALLOWS, "::1", "127.0.0.1", ports=[port, port, port])
        url = f"http://api.relay.test:{port}"
        client = HttpClient(
            url, {}, connections=1, keep_alive=5.0, connect_timeout=5.0, resolve=resolve
        )
        assert (await client.post("/health", b"", {}, limit=100)).status == 405
        await client.aclose()
        transport = PooledTransport(url, connections=1, keep_alive=5.0, resolve=resolve)
        async with httpx.AsyncClient(transport=transport, timeout=5.0) as general:
            assert (await general.get(f"{url}/health")).status_code == httpx.codes.OK


LOCALHOST_HAS_BOTH = len({one[0] for one in socket.getaddrinfo("localhost", 80)}) > 1
SITUATIONS = (both_families, without_ipv4, without_ipv6, lost_packets)

if __name__ == "__main__":
    ip("link set lo up")
    asyncio.run({each.__name__: each for each in SITUATIONS}[sys.argv[1]]())
