"""Names with several addresses, and resolvers that hang."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest

from relay.aws.resolver import ClientResolver
from relay.destinations.http_pool import PooledTransport
from relay.http import HttpClient, NotConnected
from relay.http.addresses import AddressInfo, Resolve, Resolver
from tests.destinations.wire import http, listening
from tests.http.names import at

NAME = "api.relay.test"


@asynccontextmanager
async def own(
    url: str, resolve: Resolve, timeout: float
) -> AsyncIterator[Callable[[], Awaitable[int]]]:
    client = HttpClient(
        url, {}, connections=2, keep_alive=5.0, connect_timeout=timeout, resolve=resolve
    )

    async def ask() -> int:
        return (await client.post("/", b"", {}, limit=100)).status

    try:
        yield ask
    finally:
        await client.aclose()


@asynccontextmanager
async def general(
    url: str, resolve: Resolve, timeout: float
) -> AsyncIterator[Callable[[], Awaitable[int]]]:
    transport = PooledTransport(url, connections=2, keep_alive=5.0, resolve=resolve)
    async with httpx.AsyncClient(transport=transport, timeout=timeout, trust_env=False) as client:

        async def ask() -> int:
            try:
                return (await client.post(url)).status_code
            except httpx.TransportError as error:
                raise NotConnected(repr(error)) from error

        yield ask


@pytest.fixture(params=[own, general], ids=["post", "httpx"])
def opening(request: pytest.FixtureRequest) -> Any:
    return request.param


@pytest.mark.parametrize("broken", [["127.0.0.2"], ["::1"], ["127.0.0.2", "::1", "127.0.0.3"]])
async def test_each_address_of_a_name_is_tried(
    opening: Any, broken: Sequence[str], unused_port: int
) -> None:
    async with listening(http(200)) as wire:
        ports = [unused_port] * len(broken) + [wire.port]
        async with opening(f"http://{NAME}", at(*broken, "127.0.0.1", ports=ports), 5.0) as ask:
            assert await ask() == 200
    assert wire.requests[0][1]["host"] == NAME


async def test_no_address_that_works_is_a_failed_connection(opening: Any, unused_port: int) -> None:
    resolve = at("127.0.0.2", "127.0.0.3", ports=[unused_port] * 2)
    async with opening(f"http://{NAME}", resolve, 5.0) as ask:
        with pytest.raises(NotConnected):
            await ask()


class Hanging:
    """A resolver of the system that answers nothing about one name."""

    def __init__(self, port: int = 0) -> None:
        self.port = port
        self.asked: list[str] = []
        self.released = threading.Event()

    def __call__(self, host: str, _port: int) -> Sequence[AddressInfo]:
        self.asked.append(host)
        if host == NAME:
            self.released.wait(60.0)
            raise socket.gaierror(socket.EAI_AGAIN, "no answer")
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", self.port))]


@pytest.fixture
def hanging() -> Any:
    found = Hanging()
    yield found
    found.released.set()


async def test_a_look_up_that_hangs_ends_with_the_connect_timeout(
    opening: Any, hanging: Hanging
) -> None:
    async with opening(f"http://{NAME}", Resolver(hanging), 0.05) as ask:
        for _ in range(3):
            with pytest.raises(NotConnected) as caught:
                await ask()
            assert "Timeout" in repr(caught.value.__cause__)
    assert hanging.asked == [NAME]  # one thread, however often the name is needed


async def test_a_look_up_that_hangs_holds_up_no_other(opening: Any, hanging: Hanging) -> None:
    resolver = Resolver(hanging)
    async with listening(http(200)) as wire:
        hanging.port = wire.port
        stuck = [asyncio.create_task(resolver(NAME, port)) for port in range(100)]
        async with opening("http://other.relay.test", resolver, 5.0) as ask:
            assert await ask() == 200
        assert await asyncio.to_thread(int, "1") == 1  # the event loop's threads are free
    hanging.released.set()
    assert {type(error) for error in await asyncio.gather(*stuck, return_exceptions=True)} == {
        socket.gaierror
    }


async def test_an_address_needs_no_look_up(hanging: Hanging) -> None:
    assert (await Resolver(hanging)("127.1", 80))[0][4] == ("127.0.0.1", 80)
    assert (await Resolver(hanging)("::1", 80))[0][4][:2] == ("::1", 80)
    assert hanging.asked == []


async def test_a_look_up_of_awss_general_clients_ends_in_time(hanging: Hanging) -> None:
    resolver = ClientResolver(0.05, Resolver(hanging))
    with pytest.raises(TimeoutError):
        await resolver.resolve(NAME, 443, socket.AF_UNSPEC)
    (found,) = await resolver.resolve("other.relay.test", 443, socket.AF_UNSPEC)
    assert found["host"] == "127.0.0.1"
