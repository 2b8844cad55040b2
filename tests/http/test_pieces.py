"""A request in pieces: what is sent is the same, and large pieces are not copied."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any, cast

import pytest

from relay.http import HttpClient
from relay.http.connection import Connection

LARGE = memoryview(b"x" * 3_000_000)


class Transport:
    """Records what is written to it."""

    def __init__(self) -> None:
        self.written: list[object] = []

    def set_write_buffer_limits(self, **_limits: int) -> None:
        pass

    def get_extra_info(self, _name: str) -> None:
        pass

    def writelines(self, pieces: Iterable[object]) -> None:
        self.written += pieces


async def test_a_connection_writes_the_pieces_themselves() -> None:
    transport, connection = Transport(), Connection()
    connection.connection_made(cast("Any", transport))
    pieces: list[bytes | memoryview] = [b"head", LARGE, b"end"]
    request = asyncio.create_task(connection.exchange(pieces, 1_000))
    await asyncio.sleep(0)
    connection.data_received(b"HTTP/1.1 204 No Content\r\n\r\n")
    assert (await request).status == 204
    assert [id(piece) for piece in transport.written] == [id(piece) for piece in pieces]


@pytest.mark.parametrize("middle", [b"", b"small", LARGE], ids=["none", "small", "large"])
async def test_the_server_gets_one_body(middle: bytes | memoryview) -> None:
    expected = b"".join((b"[", middle, b"]"))
    received: list[bytes] = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for _ in range(2):
            head = await reader.readuntil(b"\r\n\r\n")
            assert b"content-length: %d\r\n" % len(expected) in head
            received.append(await reader.readexactly(len(expected)))
            writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    client = HttpClient(url, {}, connections=1, keep_alive=10.0, connect_timeout=5.0)
    async with server:
        for _ in range(2):
            assert (await client.post("/", [b"[", middle, b"]"], {}, limit=1_000)).status == 200
        await client.aclose()
    assert received == [expected] * 2


@pytest.mark.parametrize("size", [0, 1, 65_535, 65_536, 65_537, 3_000_000])
@pytest.mark.parametrize("chunked", [False, True], ids=["measured", "chunked"])
async def test_a_body_of_any_size_is_received_whole(size: int, *, chunked: bool) -> None:
    body = bytes(range(256)) * (size // 256) + b"x" * (size % 256)

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        if chunked:
            writer.write(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")
            writer.write(b"%x\r\n%b\r\n" % (size, body) if size else b"")
            writer.write(b"0\r\n\r\n")
        else:
            writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%b" % (size, body))
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    client = HttpClient(url, {}, connections=1, keep_alive=10.0, connect_timeout=5.0)
    async with server:
        found = await client.post("/", b"", {}, limit=4_000_000)
        cut = await client.post("/", b"", {}, limit=1_000)
        await client.aclose()
    assert found.body == body
    assert (cut.complete, body.startswith(bytes(cut.body))) == (size <= 1_000, True)


@pytest.mark.parametrize("status", [204, 304])
async def test_a_response_without_a_body_has_none_whatever_length_it_states(status: int) -> None:
    connection = Connection()
    connection.connection_made(cast("Any", Transport()))
    request = asyncio.create_task(connection.exchange([b"head"], 1_000_000))
    await asyncio.sleep(0)
    connection.data_received(b"HTTP/1.1 %d None\r\ncontent-length: 200000\r\n\r\n" % status)
    assert (await request).body == b""
