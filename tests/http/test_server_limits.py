"""The HTTP server's limits and timeouts, over real sockets."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Sequence

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from relay.http.server import serving
from relay.http.server_limits import HEAD_BYTES, HEADERS, PIPELINED, ServerLimits

GET = b"GET /quick HTTP/1.1\r\nhost: x\r\n\r\n"
SLOW = b"GET /slow HTTP/1.1\r\nhost: x\r\n\r\n"


class Client:
    """One connection to the server."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def send(self, *parts: bytes) -> None:
        """Send the parts; the server may close the connection meanwhile."""
        with contextlib.suppress(ConnectionError):
            for part in parts:
                self.writer.write(part)
                await self.writer.drain()

    async def status(self) -> int:
        """The status of the next response, whose body is read too."""
        head = await asyncio.wait_for(self.reader.readuntil(b"\r\n\r\n"), 20)
        length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0] or 0)
        await self.reader.readexactly(length)
        return int(head.split()[1])

    async def rest(self) -> bytes:
        """All until the server closes the connection."""
        with contextlib.suppress(ConnectionError):
            return await asyncio.wait_for(self.reader.read(), 20)
        return b""


class Server:
    """A server with a quick and a slow answer."""

    def __init__(self) -> None:
        self.release = asyncio.Event()
        self.slow = asyncio.Semaphore(0)
        self.port = 0
        self.clients: list[Client] = []

    def app(self) -> Starlette:
        async def quick(request: Request) -> Response:
            return PlainTextResponse(f"{len(await request.body())}")

        async def slow(_request: Request) -> Response:
            self.slow.release()
            await self.release.wait()
            return PlainTextResponse("done")

        methods = ["GET", "POST"]
        routes = [Route("/quick", quick, methods=methods), Route("/slow", slow, methods=methods)]
        return Starlette(routes=routes)

    async def connect(self) -> Client:
        client = Client(*await asyncio.open_connection("127.0.0.1", self.port))
        self.clients.append(client)
        return client


@contextlib.asynccontextmanager
async def running(limits: ServerLimits | None = None) -> AsyncIterator[Server]:
    server = Server()
    async with serving(server.app(), limits=limits or ServerLimits(100)) as port:
        server.port = port
        try:
            yield server
        finally:
            server.release.set()
            for client in server.clients:
                client.writer.transport.abort()
            await asyncio.sleep(0)


@pytest.mark.parametrize(
    "part",
    [b"a: b\r\n" * 200, b"x" * 1_000, b"\xff" * 1_000, b"x: " + b"y" * 500 + b"\r\n"],
    ids=["headers", "value", "bytes", "long headers"],
)
async def test_endless_headers_are_refused_at_the_limit(part: bytes) -> None:
    limits = ServerLimits(100)
    async with running(limits) as server:
        client = await server.connect()
        await client.send(b"POST /quick HTTP/1.1\r\nx: ", *([part] * (2 * HEAD_BYTES // len(part))))
        answer = await client.rest()
        assert answer == b"" or answer.startswith(b"HTTP/1.1 431")
        assert limits.unfinished == 0
        other = await server.connect()
        await other.send(GET)
        assert await other.status() == 200


async def test_more_headers_than_a_message_can_have_are_refused() -> None:
    async with running() as server:
        client = await server.connect()
        headers = b"".join(b"h%d: x\r\n" % number for number in range(HEADERS + 1))
        await client.send(b"GET /quick HTTP/1.1\r\n", headers, b"\r\n")
        assert await client.status() == 431
        assert await client.rest() == b""


async def test_the_head_of_a_full_message_may_arrive_in_pieces() -> None:
    async with running() as server:
        client = await server.connect()
        value = b"v" * 1_048_576
        head = b"POST /quick HTTP/1.1\r\ncontent-length: 3\r\nx-aws-sqsd-attr-a: " + value
        request = head + b"\r\n\r\nabc"
        for _ in range(2):
            await client.send(*(request[at : at + 7_000] for at in range(0, len(request), 7_000)))
            assert await client.status() == 200


async def test_a_head_is_found_wherever_its_pieces_end() -> None:
    async with running() as server:
        client = await server.connect()
        for at in range(1, len(GET)):
            await client.send(GET[:at])
            await asyncio.sleep(0)
            await client.send(GET[at:])
            assert await client.status() == 200


async def test_a_body_without_a_length_is_refused() -> None:
    async with running() as server:
        client = await server.connect()
        await client.send(b"POST /quick HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello")
        assert await client.status() == 411


@pytest.mark.parametrize(
    ("sent", "answer"),
    [
        ([], b""),
        ([b"\r\n\r\n"], b""),
        ([b"GET /quick HT"], b"HTTP/1.1 408"),
        ([b"POST /quick HTTP/1.1\r\ncontent-length: 9\r\n\r\nabc"], b""),
        ([b"POST /none HTTP/1.1\r\ncontent-length: 9\r\n\r\nabc"], b"HTTP/1.1 404"),
        ([GET, b"GET /qui"], b"HTTP/1.1 200"),
    ],
    ids=["nothing", "line breaks", "half a head", "half a body", "unwanted body", "second head"],
)
async def test_a_request_that_does_not_arrive_is_ended(
    sent: Sequence[bytes], answer: bytes
) -> None:
    async with running(ServerLimits(100, request_timeout=0.2)) as server:
        client = await server.connect()
        await client.send(*sent)
        assert (await client.rest()).startswith(answer)


async def test_a_request_that_is_being_answered_has_no_deadline() -> None:
    async with running(ServerLimits(100, request_timeout=0.1)) as server:
        held, unfinished = await server.connect(), await server.connect()
        await held.send(SLOW)
        await server.slow.acquire()
        await unfinished.send(b"GET /")
        assert await unfinished.status() == 408  # later than the first one's deadline
        server.release.set()
        assert await held.status() == 200


async def test_idle_connections_make_room_for_new_ones() -> None:
    async with running(ServerLimits(4)) as server:
        used = await server.connect()
        await used.send(GET)
        assert await used.status() == 200
        idle = [await server.connect() for _ in range(10)]
        client = await server.connect()
        await client.send(GET)
        assert await client.status() == 200
        for one in idle[:7]:
            assert await one.rest() == b""
        await used.send(GET)  # one that was used before is kept longer than the unused ones
        assert await used.status() == 200


async def test_with_all_connections_at_work_a_new_one_is_answered_503() -> None:
    async with running(ServerLimits(3)) as server:
        busy = [await server.connect() for _ in range(3)]
        for one in busy:
            await one.send(SLOW)
            await server.slow.acquire()
        more = await server.connect()
        await more.send(GET)
        assert await more.status() == 503
        server.release.set()
        for one in busy:
            assert await one.status() == 200
        client = await server.connect()
        await client.send(GET)
        assert await client.status() == 200


async def test_few_requests_may_be_sent_ahead() -> None:
    async with running() as server:
        client = await server.connect()
        await client.send(SLOW + (PIPELINED - 1) * GET)
        await server.slow.acquire()
        server.release.set()
        for _ in range(PIPELINED):
            assert await client.status() == 200
        greedy = await server.connect()
        await greedy.send(GET * 1_000)
        assert (await greedy.rest()).count(b"HTTP/1.1") <= PIPELINED + 2


async def test_the_head_of_a_request_sent_ahead_is_limited_in_its_pieces() -> None:
    async with running() as server:
        client = await server.connect()
        client.writer.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        await client.send(GET + b"GET /quick HTTP/1.1\r\nx: ")
        assert await client.status() == 200
        while not (client.reader.at_eof() or client.writer.transport.is_closing()):
            await client.send(b"y")
            await asyncio.sleep(0)
        assert await client.rest() in (b"", b"HTTP/1.1 431 Request Header Fields Too Large")


async def test_unfinished_requests_share_a_limit() -> None:
    limits = ServerLimits(200)
    async with running(limits) as server:
        value = b"x: " + b"y" * 1_000_000
        clients = [await server.connect() for _ in range(80)]
        for one in clients:
            await one.send(b"GET /quick HTTP/1.1\r\n", value)
        assert limits.unfinished <= 64 * 1_048_576
        whole = await server.connect()
        await whole.send(GET)
        assert await whole.status() == 200
