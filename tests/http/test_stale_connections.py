"""A connection that the server closes as it is used again, over real sockets."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Awaitable, Callable

import pytest

from relay.http import HttpClient, IncompleteResponse, NotConnected, Response
from tests.http.test_http_client import OK, Script, answering, read, serving

Ending = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


def reset(writer: asyncio.StreamWriter) -> None:
    """Close with a RST instead of a FIN."""
    linger = struct.pack("ii", 1, 0)
    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)


async def closes(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
    """FIN after the request has arrived, as a server does whose timer fires just then."""
    await read(reader)


async def resets(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await read(reader)
    reset(writer)


async def resets_unread(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """RST because the request was never read."""
    await reader.read(1)
    reset(writer)


async def begins_an_answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await read(reader)
    writer.write(OK[:5])
    await writer.drain()


def stale(end: Ending, *, every: bool = False) -> Script:
    """A connection whose second request has this end; only the first connection, or every one."""
    connections = 0

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        if connections > 1 and not every:
            await answering(OK)(reader, writer)
        await read(reader)
        writer.write(OK)
        await writer.drain()
        await end(reader, writer)

    return script


async def send(client: HttpClient, body: bytes = b"body", *, repeatable: bool = True) -> Response:
    return await client.post("/", body, {}, limit=100, repeatable=repeatable)


@pytest.mark.parametrize("end", [closes, resets, resets_unread])
async def test_a_repeatable_request_goes_again_at_once_on_a_new_connection(end: Ending) -> None:
    async with serving(stale(end)) as server:
        client = server.client()
        assert [(await send(client)).status for _ in range(4)] == [200] * 4
        await client.aclose()
    assert server.connections == 2


@pytest.mark.parametrize("end", [closes, resets, resets_unread])
async def test_a_request_that_may_have_been_taken_is_not_repeated(end: Ending) -> None:
    async with serving(stale(end)) as server:
        client = server.client()
        await send(client, repeatable=False)
        with pytest.raises(IncompleteResponse):
            await send(client, repeatable=False)
        await client.aclose()
    assert server.connections == 1


async def test_a_request_that_was_not_completely_sent_is_always_repeated() -> None:
    async with serving(stale(resets_unread)) as server:
        client = server.client()
        await send(client, repeatable=False)
        assert (await send(client, b"x" * 20_000_000, repeatable=False)).status == 200
        await client.aclose()
    assert server.connections == 2


async def test_a_request_whose_answer_had_begun_is_not_repeated() -> None:
    async with serving(stale(begins_an_answer)) as server:
        client = server.client()
        await send(client)
        with pytest.raises(IncompleteResponse):
            await send(client)
        await client.aclose()
    assert server.connections == 1


async def test_a_request_on_a_new_connection_is_not_repeated() -> None:
    async with serving(closes) as server:
        client = server.client()
        with pytest.raises(IncompleteResponse):
            await send(client)
        await client.aclose()
    assert server.connections == 1


async def test_a_connection_that_breaks_late_was_not_stale() -> None:
    async with serving(stale(closes)) as server:
        client = HttpClient(
            f"http://127.0.0.1:{server.port}",
            {},
            connections=1,
            keep_alive=5.0,
            connect_timeout=5.0,
            stale_within=-1.0,
        )
        await send(client)
        with pytest.raises(IncompleteResponse):
            await send(client)
        await client.aclose()
    assert server.connections == 1


async def test_it_is_repeated_once_and_never_on_another_idle_connection() -> None:
    both = asyncio.Barrier(2)

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read(reader)
        if server.connections > 2:  # the new connection: closed without an answer
            return
        await both.wait()
        writer.write(OK)
        await closes(reader, writer)

    async with serving(script) as server:
        client = server.client(connections=2)
        await asyncio.gather(send(client), send(client))
        with pytest.raises(IncompleteResponse):
            await send(client)
        await client.aclose()
    assert server.connections == 3


async def test_without_a_new_connection_the_end_of_the_request_stays_unknown() -> None:
    gone = asyncio.Event()

    async def last(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        await read(reader)
        server.stop()
        gone.set()

    async with serving(stale(last)) as server:
        client = server.client()
        await send(client)
        with pytest.raises(IncompleteResponse):
            await send(client)
        assert gone.is_set()
        with pytest.raises(NotConnected):
            await send(client)
        await client.aclose()
