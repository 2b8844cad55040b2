"""The daemon's HTTP client, against servers that behave well and badly."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from relay.local.clock import ManualClock
from relay.local.sqsd.application import Closed, Connection, NoAnswer, Silent, Target

REQUEST = b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"

Answer = Callable[[asyncio.StreamWriter], Awaitable[None]]


def writes(*chunks: bytes, close: bool = False) -> Answer:
    async def answer(writer: asyncio.StreamWriter) -> None:
        for chunk in chunks:
            writer.write(chunk)
        if close:
            writer.close()

    return answer


class Server:
    """Answers each request (without a body), over sockets that it closes itself."""

    def __init__(self, answer: Answer) -> None:
        self._answer = answer
        self._serving: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> str:
        self._listener = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        return f"http://127.0.0.1:{self._listener.sockets[0].getsockname()[1]}"

    async def __aexit__(self, *_: object) -> None:
        # The target has closed its connections by now, which ends the tasks.
        self._listener.close()
        await asyncio.gather(*self._serving)
        await self._listener.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._serving.add(task)
        try:
            while not writer.is_closing():
                await reader.readuntil(b"\r\n\r\n")
                await self._answer(writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()


@contextlib.asynccontextmanager
async def target_of(answer: Answer, clock: ManualClock | None = None) -> AsyncIterator[Target]:
    async with Server(answer) as url:
        target = Target(
            url, connect_timeout=1, inactivity_timeout=300.0, clock=clock or ManualClock()
        )
        watch = asyncio.create_task(target.watch())
        try:
            yield target
        finally:
            watch.cancel()
            target.abort()


async def until(happened: Callable[[], bool]) -> None:
    while not happened():  # noqa: ASYNC110 - a connection has no event for a received byte
        await asyncio.sleep(0.001)


async def post(target: Target) -> tuple[int, Connection]:
    connection = await target.connect()
    return await target.post(connection, REQUEST), connection


@pytest.mark.parametrize(
    ("answer", "status"),
    [
        (writes(OK), 200),
        (writes(b"HTTP/1.1 204 No Content\r\n\r\n"), 204),
        (writes(b"HTTP/1.1 103 Early Hints\r\n\r\n", OK), 200),
        (writes(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n"), 200),
        (writes(b"HTTP/1.1 200 OK\r\n\r\nok", close=True), 200),
        (writes(b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n"), 503),
        (writes(b"HTTP/1.1 101 Switch\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n"), 101),
    ],
)
async def test_the_status_of_a_complete_response_is_returned(answer: Answer, status: int) -> None:
    async with target_of(answer) as target:
        found, _ = await post(target)
    assert found == status


@pytest.mark.parametrize(
    "answer",
    [
        writes(close=True),
        writes(b"HTTP/1.1 200 OK\r\nContent-Le", close=True),
        writes(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nok", close=True),
        writes(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n", close=True),
    ],
)
async def test_a_truncated_response_counts_as_closed(answer: Answer) -> None:
    async with target_of(answer) as target:
        with pytest.raises(Closed):
            await post(target)


async def test_a_response_that_is_not_http_is_no_answer() -> None:
    async with target_of(writes(b"hello\r\n")) as target:
        with pytest.raises(NoAnswer, match="not HTTP"):
            await post(target)


async def test_a_connection_is_reused_unless_the_response_says_close() -> None:
    async with target_of(writes(OK)) as target:
        assert (await post(target))[1] is (await post(target))[1]
    closing = b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
    async with target_of(writes(closing)) as target:
        assert (await post(target))[1] is not (await post(target))[1]


async def test_a_cancelled_request_closes_its_connection() -> None:
    async with target_of(writes()) as target:
        connection = await target.connect()
        waiter = asyncio.create_task(target.post(connection, REQUEST))
        await asyncio.sleep(0)
        waiter.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiter
        assert not connection.usable


async def test_silence_is_cut_after_the_inactivity_timeout() -> None:
    clock, requested = ManualClock(), asyncio.Event()

    async def stay_silent(_: asyncio.StreamWriter) -> None:
        requested.set()

    async with target_of(stay_silent, clock) as target:
        waiter = asyncio.create_task(post(target))
        await requested.wait()
        clock.advance(300)
        with pytest.raises(Silent):
            await waiter


async def test_any_byte_of_the_response_resets_the_timeout() -> None:
    clock = ManualClock()
    writers: list[asyncio.StreamWriter] = []

    async def begin(writer: asyncio.StreamWriter) -> None:
        writers.append(writer)
        writer.write(b"HTTP/1.1 200")

    async with target_of(begin, clock) as target:
        connection = await target.connect()
        waiter = asyncio.create_task(target.post(connection, REQUEST))
        await until(lambda: bool(writers))
        for byte in (b" ", b"O", b"K"):
            clock.advance(299)
            writers[0].write(byte)
            await until(lambda: connection.touched == clock.time())
        writers[0].write(b"\r\nContent-Length: 0\r\n\r\n")
        assert await waiter == 200


async def test_a_refused_connection_is_an_os_error() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound but not listening: no other process can take the port
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"
        target = Target(url, connect_timeout=1, inactivity_timeout=9.0, clock=ManualClock())
        with pytest.raises(ConnectionRefusedError):
            await target.connect()


async def test_a_connection_that_is_not_accepted_times_out() -> None:
    with socket.create_server(("127.0.0.1", 0), backlog=0) as full:
        address = full.getsockname()
        waiting = [socket.socket() for _ in range(4)]
        try:
            for client in waiting:
                client.setblocking(False)
                client.connect_ex(address)
            url = f"http://127.0.0.1:{address[1]}"
            target = Target(url, connect_timeout=0.2, inactivity_timeout=9.0, clock=ManualClock())
            with pytest.raises(TimeoutError):
                await target.connect()
        finally:
            for client in waiting:
                client.close()


def test_a_target_must_be_plain_http() -> None:
    with pytest.raises(ValueError, match="http://"):
        Target("https://h", connect_timeout=1, inactivity_timeout=1.0, clock=ManualClock())
