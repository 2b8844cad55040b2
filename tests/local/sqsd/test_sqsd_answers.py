"""How the application's response settles a message, with a real queue and real HTTP."""

from __future__ import annotations

import asyncio
import json
from collections import deque
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest

from relay.local.clock import START, ManualClock
from relay.local.sqs import SqsServer, Stored
from relay.local.sqsd import Sqsd, SqsdOptions


class Application(asyncio.Protocol):
    """The application. `answers` are statuses in order: 0 closes, None never answers.

    When none is left, it answers `otherwise`.
    """

    def __init__(self, seen: Seen) -> None:
        self._seen = seen
        self._bytes = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._seen.open.add(transport)

    def connection_lost(self, exc: Exception | None) -> None:
        self._seen.open.discard(self._transport)

    def data_received(self, data: bytes) -> None:
        self._bytes += data
        head, end, body = self._bytes.partition(b"\r\n\r\n")
        line, *lines = head.decode().split("\r\n")
        headers = dict(text.lower().split(": ", 1) for text in lines)
        if not end or len(body) < int(headers["content-length"]):
            return
        self._bytes = b""
        self._seen.requests.append((line.split()[1], headers, body.decode()))
        self.answer(self._seen.answers.popleft() if self._seen.answers else self._seen.otherwise)

    def answer(self, status: int | None) -> None:
        if status == 0:
            self._transport.close()
        elif status is not None:
            self._transport.write(b"HTTP/1.1 %d X\r\nContent-Length: 0\r\n\r\n" % status)
        else:
            self._seen.silent.append(self)


@dataclass
class Seen:
    requests: list[tuple[str, dict[str, str], str]] = field(default_factory=list)
    answers: deque[int | None] = field(default_factory=deque)
    otherwise: int | None = 200
    silent: list[Application] = field(default_factory=list)
    open: set[asyncio.Transport] = field(default_factory=set)

    def counts(self) -> list[str]:
        return [headers["x-aws-sqsd-receive-count"] for _, headers, _ in self.requests]


@dataclass
class Setup:
    clock: ManualClock
    sqs: SqsServer
    seen: Seen
    target: str
    http: httpx.AsyncClient

    def sqsd(self, target: str | None = None, **options: Any) -> Sqsd:
        return Sqsd(
            f"{self.sqs.url}/000000000000/main",
            target or self.target,
            SqsdOptions(**options),
            endpoint_url=self.sqs.url,
            clock=self.clock,
        )

    async def call(self, action: str, **parameters: Any) -> None:
        answer = await self.http.post(
            self.sqs.url,
            headers={"X-Amz-Target": f"AmazonSQS.{action}"},
            content=json.dumps(parameters),
        )
        answer.raise_for_status()

    async def send(self, *bodies: str) -> None:
        url = f"{self.sqs.url}/000000000000/main"
        for body in bodies:
            await self.call("SendMessage", QueueUrl=url, MessageBody=body)

    def messages(self) -> tuple[Stored, ...]:
        return self.sqs.queues["main"].messages()


@pytest.fixture
async def setup() -> AsyncIterator[Setup]:
    clock, seen, loop = ManualClock(), Seen(), asyncio.get_running_loop()
    listener = await loop.create_server(lambda: Application(seen), "127.0.0.1", 0)
    target = f"http://127.0.0.1:{listener.sockets[0].getsockname()[1]}"
    async with SqsServer(clock=clock) as sqs, httpx.AsyncClient(verify=False) as http:
        setup = Setup(clock, sqs, seen, target, http)
        await setup.call("CreateQueue", QueueName="main")
        yield setup
    listener.close()
    for transport in tuple(seen.open):
        transport.abort()
    await until(lambda: not seen.open)
    await listener.wait_closed()


async def until(happened: Callable[[], object]) -> None:
    while not happened():  # noqa: ASYNC110 - the daemon's counters have no change event
        await asyncio.sleep(0.001)


async def pass_time(setup: Setup, seconds: float) -> None:
    """Advance once the pool's watch and the server's long poll are asleep."""
    await setup.clock.until_asleep(2)
    setup.clock.advance(seconds)


async def test_a_200_deletes_within_two_seconds(setup: Setup) -> None:
    await setup.send("a")
    async with setup.sqsd() as sqsd:
        await until(lambda: setup.seen.requests)
        assert len(setup.messages()) == 1
        await until(lambda: sqsd.in_flight == 0)
        await pass_time(setup, 2)
        await until(lambda: sqsd.counters.deleted)
    assert not setup.messages()
    assert sqsd.counters.posted == 1


async def test_ten_deletes_are_sent_at_once(setup: Setup) -> None:
    await setup.send(*"abcdefghij")
    async with setup.sqsd() as sqsd:
        await until(lambda: sqsd.counters.deleted == 10)
    assert setup.sqs.requests["DeleteMessageBatch"] == 1


@pytest.mark.parametrize("status", [202, 204, 301, 404, 503, 0])
async def test_any_status_but_200_returns_the_message_after_the_error_visibility_timeout(
    setup: Setup, status: int
) -> None:
    """0 is a refused connection."""
    await setup.send("a")
    setup.seen.answers.append(status)
    where = setup.target if status else "http://127.0.0.1:1"
    async with setup.sqsd(error_visibility_timeout=40, target=where) as sqsd:
        await until(lambda: sqsd.counters.returned)
        (message,) = setup.messages()
        assert message.visible_at == START + 40
    assert sqsd.counters.deleted == 0


async def test_a_message_that_came_back_is_posted_again_with_a_higher_count(setup: Setup) -> None:
    await setup.send("a")
    setup.seen.answers.append(503)
    async with setup.sqsd() as sqsd:
        await until(lambda: sqsd.counters.returned)
        await pass_time(setup, 2)
        await until(lambda: len(setup.seen.requests) == 2)
    assert setup.seen.counts() == ["1", "2"]


async def test_a_receive_overrides_the_queues_visibility_timeout(setup: Setup) -> None:
    await setup.send("a")
    setup.seen.otherwise = None
    async with setup.sqsd(visibility_timeout=1080) as sqsd:
        await until(lambda: setup.seen.requests)
        (message,) = setup.messages()
        assert message.visible_at == START + 1080
        sqsd.kill()


async def test_a_closed_connection_makes_it_post_again_at_once(setup: Setup) -> None:
    await setup.send("a")
    setup.seen.answers += [0, 0]
    async with setup.sqsd() as sqsd:
        await until(lambda: len(setup.seen.requests) == 3)
    assert setup.seen.counts() == ["1", "1", "1"]
    assert (sqsd.counters.posted, sqsd.counters.reposted, sqsd.counters.deleted) == (3, 2, 1)


async def test_silence_returns_the_message_as_in_2_x(setup: Setup) -> None:
    await setup.send("a")
    setup.seen.otherwise = None
    async with setup.sqsd(inactivity_timeout=900, visibility_timeout=1080) as sqsd:
        await until(lambda: setup.seen.silent)
        setup.clock.advance(900)
        await until(lambda: sqsd.counters.returned)
        (message,) = setup.messages()
        assert message.visible_at == START + 902


async def test_silence_leaves_the_message_locked_as_in_3_x(setup: Setup) -> None:
    await setup.send("a")
    setup.seen.otherwise = None
    async with setup.sqsd(
        inactivity_timeout=900, visibility_timeout=1080, on_inactivity="leave-locked"
    ) as sqsd:
        await until(lambda: setup.seen.silent)
        setup.clock.advance(900)
        await until(lambda: sqsd.counters.locked)
        (message,) = setup.messages()
        assert message.visible_at == START + 1080
    assert sqsd.counters.returned == 0


async def test_six_hours_of_silence_cost_a_receive_every_twenty_minutes(setup: Setup) -> None:
    await setup.send("a")
    setup.seen.otherwise = None
    async with setup.sqsd(
        inactivity_timeout=900, visibility_timeout=1080, error_visibility_timeout=300
    ):
        for _ in range(18):
            await until(lambda: setup.seen.silent)
            setup.seen.silent.clear()
            setup.clock.advance(900)
            await until(lambda: setup.messages()[0].visible_at == setup.clock.time() + 300)
            await pass_time(setup, 300)
    assert setup.clock.time() == START + 6 * 3600
    assert setup.seen.counts() == [str(count) for count in range(1, 19)]


async def test_a_message_past_the_retention_period_is_deleted_without_being_posted(
    setup: Setup,
) -> None:
    await setup.send("a")
    setup.seen.answers.append(503)
    async with setup.sqsd(retention_period=60) as sqsd:
        await until(lambda: sqsd.counters.returned)
        await pass_time(setup, 61)
        await until(lambda: sqsd.counters.expired)
        await until(lambda: sqsd.in_flight == 0)
        await pass_time(setup, 2)
        await until(lambda: sqsd.counters.deleted)
    assert len(setup.seen.requests) == 1
    assert not setup.messages()
