"""The minimal HTTP client over real sockets."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from relay.http import HttpClient, IncompleteResponse, NotConnected, Response

Script = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


async def read(reader: asyncio.StreamReader) -> bytes:
    head = await reader.readuntil(b"\r\n\r\n")
    length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
    return head + await reader.readexactly(length)


class Server:
    """Counts connections and requests. Each connection runs the script."""

    def __init__(self, script: Script) -> None:
        self.script = script
        self.connections = 0
        self.requests: list[bytes] = []
        self.ended = asyncio.Event()
        self.port = 0
        self.stop: Callable[[], None] = lambda: None

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            await self.script(reader, writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()
            self.ended.set()

    def client(self, *, connections: int = 2, keep_alive: float = 5.0) -> HttpClient:
        return HttpClient(
            f"http://127.0.0.1:{self.port}/ignored",
            {"x-mine": "1"},
            connections=connections,
            keep_alive=keep_alive,
            connect_timeout=5.0,
        )


@contextlib.asynccontextmanager
async def serving(script: Script) -> AsyncIterator[Server]:
    server = Server(script)
    tasks: set[asyncio.Task[None]] = set()

    def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        tasks.add(asyncio.create_task(server.serve(reader, writer)))

    listener = await asyncio.start_server(accept, "127.0.0.1", 0)
    server.port = listener.sockets[0].getsockname()[1]
    server.stop = listener.close
    try:
        yield server
    finally:
        listener.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def answering(*answers: bytes) -> Script:
    """Each request gets the next answer; the last one is repeated."""

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        at = 0
        while True:
            await read(reader)
            writer.write(answers[min(at, len(answers) - 1)])
            await writer.drain()
            at += 1

    return script


async def post(client: HttpClient, limit: int = 1_000) -> Response:
    return await client.post("/path?q=1", b"body", {"x-this": "2"}, limit=limit)


async def test_a_request_has_the_given_headers_and_body() -> None:
    seen: list[bytes] = []

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        seen.append(await read(reader))
        writer.write(OK)

    async with serving(script) as server:
        client = server.client()
        answer = await post(client)
        await client.aclose()
    assert (answer.status, answer.body, answer.complete) == (200, b"ok", True)
    lines = seen[0].split(b"\r\n")
    assert lines[0] == b"POST /path?q=1 HTTP/1.1"
    assert set(lines[1:5]) == {
        f"host: 127.0.0.1:{server.port}".encode(),
        b"x-mine: 1",
        b"x-this: 2",
        b"content-length: 4",
    }
    assert lines[5:] == [b"", b"body"]


@pytest.mark.parametrize(
    "answer",
    [
        OK,
        b"HTTP/1.1 100 Continue\r\n\r\n" + OK,
        b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" + OK,
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\no\r\n1\r\nk\r\n0\r\n\r\n",
    ],
)
async def test_a_connection_is_reused(answer: bytes) -> None:
    async with serving(answering(answer)) as server:
        client = server.client()
        bodies = [(await post(client)).body for _ in range(3)]
        await client.aclose()
    assert bodies == [b"ok"] * 3
    assert server.connections == 1


@pytest.mark.parametrize(
    "head", [b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2", b"HTTP/1.0 200 OK"]
)
async def test_a_response_may_end_its_connection(head: bytes) -> None:
    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read(reader)
        writer.write(head + b"\r\n\r\nok")

    async with serving(script) as server:
        client = server.client()
        assert [(await post(client)).body for _ in range(2)] == [b"ok", b"ok"]
        await client.aclose()
    assert server.connections == 2


async def test_a_connection_that_the_server_closed_meanwhile_is_not_reused() -> None:
    async def once(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read(reader)
        writer.write(OK)

    async with serving(once) as server:
        client = server.client()
        for _ in range(3):
            server.ended.clear()
            assert (await post(client)).status == 200
            await server.ended.wait()
        await client.aclose()
    assert server.connections == 3


async def test_a_connection_that_was_idle_for_too_long_is_not_reused() -> None:
    async with serving(answering(OK)) as server:
        client = server.client(keep_alive=0.0)
        await post(client)
        await asyncio.sleep(0)
        await post(client)
        await client.aclose()
    assert server.connections == 2


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        OK[:-1],
        b"220 mail.example ESMTP\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nok",
        b"HTTP/1.1 200 OK\r\n" + b"a: b\r\n" * 20_000,
        b"HTTP/1.1 200 OK\r\nContent-Le",
    ],
)
async def test_an_incomplete_response_raises(answer: bytes) -> None:
    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read(reader)
        writer.write(answer)
        await writer.drain()

    async with serving(script) as server:
        client = server.client()
        with pytest.raises(IncompleteResponse):
            await post(client)
        await client.aclose()


async def test_trailers_of_a_chunked_body_are_ignored() -> None:
    body = b"x" * 100_000
    chunk = b"%x\r\n%b\r\n0\r\n" % (len(body), body)
    head = b"HTTP/1.1 200 OK\r\nx-name: head\r\nTransfer-Encoding: chunked\r\n\r\n"
    trailers = b"x-name: trailer\r\nx-checksum: 1\r\n\r\n"
    async with serving(answering(head + chunk + trailers)) as server:
        client = server.client()
        answers = [await post(client, limit=200_000) for _ in range(2)]
        await client.aclose()
    assert [len(answer.body) for answer in answers] == [100_000] * 2
    assert answers[0].headers["x-name"] == "head"
    assert "x-checksum" not in answers[0].headers
    assert server.connections == 1


async def test_a_long_response_is_cut_and_its_connection_closed() -> None:
    long = b"HTTP/1.1 200 OK\r\nContent-Length: 500000\r\n\r\n" + b"x" * 500_000
    async with serving(answering(long, OK)) as server:
        client = server.client()
        answer = await post(client, limit=1_000)
        assert not answer.complete
        assert 1_000 < len(answer.body) < 500_000
        await post(client)
        await client.aclose()
    assert server.connections == 2


async def test_an_unsolicited_response_closes_the_connection() -> None:
    async with serving(answering(OK + OK)) as server:
        client = server.client()
        assert [(await post(client)).body for _ in range(2)] == [b"ok", b"ok"]
        await client.aclose()
    assert server.connections == 2


async def test_a_request_waits_for_a_free_connection() -> None:
    waiting, most = 0, 0
    both = asyncio.Event()

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal waiting, most
        while True:
            await read(reader)
            waiting += 1
            most = max(most, waiting)
            if waiting == 2:
                both.set()
            await both.wait()
            waiting -= 1
            writer.write(OK)

    async with serving(script) as server:
        client = server.client(connections=2)
        answers = await asyncio.gather(*(post(client) for _ in range(6)))
        await client.aclose()
    assert [answer.status for answer in answers] == [200] * 6
    assert (server.connections, most) == (2, 2)


async def test_a_cancelled_request_closes_its_connection_and_frees_its_slot() -> None:
    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        arrived.set()
        await reader.read()

    arrived = asyncio.Event()
    async with serving(silent) as server:
        client = server.client(connections=1)
        task = asyncio.create_task(post(client))
        await arrived.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await server.ended.wait()
        server.script = answering(OK)
        assert (await post(client)).status == 200
        await client.aclose()


async def test_a_refused_connection_means_that_nothing_was_sent() -> None:
    async with serving(answering(OK)) as server:
        client = server.client()
    with pytest.raises(NotConnected) as caught:
        await post(client)
    assert isinstance(caught.value.__cause__, ConnectionRefusedError)


@pytest.mark.parametrize("bad", ["a\r\nb: c", "a\nb"])
async def test_a_line_break_in_a_header_is_refused(bad: str) -> None:
    client = HttpClient(
        "http://127.0.0.1:1", {}, connections=1, keep_alive=1.0, connect_timeout=1.0
    )
    with pytest.raises(ValueError, match="line break"):
        await client.post("/", b"", {"x": bad}, limit=1)
