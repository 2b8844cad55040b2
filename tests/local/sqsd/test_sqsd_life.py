"""The daemon's receives, periodic tasks, stops, crashes and SQS errors."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from datetime import datetime
from typing import Any

import httpx
import pytest

from relay.local.clock import START, ManualClock
from relay.local.sqs import Fault, SqsServer, Stored
from relay.local.sqsd import Sqsd, SqsdOptions, cron_tasks

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
CRON = {"version": 1, "cron": [{"name": "tidy", "url": "/tidy", "schedule": "30 * * * *"}]}


class Application:
    """Holds every request until `release`."""

    def __init__(self) -> None:
        self.requests: list[bytes] = []
        self.released = asyncio.Event()
        self._handlers: set[asyncio.Task[None]] = set()

    def release(self) -> None:
        self.released.set()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        handler = asyncio.current_task()
        assert handler is not None
        self._handlers.add(handler)
        try:
            while True:
                self.requests.append(await reader.readuntil(b"\r\n\r\n"))
                await self.released.wait()
                writer.write(OK)
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    async def ended(self) -> None:
        self.release()
        await asyncio.gather(*self._handlers)


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
async def sqs(clock: ManualClock) -> AsyncIterator[SqsServer]:
    async with SqsServer(clock=clock) as server:
        server.account.create("main", {}, {})
        yield server


@pytest.fixture
async def application() -> Application:
    return Application()


@pytest.fixture
async def build(
    clock: ManualClock, sqs: SqsServer, application: Application
) -> AsyncIterator[Callable[..., Sqsd]]:
    listener = await asyncio.start_server(application.serve, "127.0.0.1", 0)

    def built(cron: Any = None, **options: Any) -> Sqsd:
        return Sqsd(
            f"{sqs.url}/000000000000/main",
            f"http://127.0.0.1:{listener.sockets[0].getsockname()[1]}",
            SqsdOptions(**options),
            cron=cron_tasks(cron) if cron else (),
            endpoint_url=sqs.url,
            clock=clock,
        )

    yield built
    listener.close()
    await application.ended()
    await listener.wait_closed()


async def send(sqs: SqsServer, count: int) -> None:
    async with httpx.AsyncClient(verify=False) as http:  # plain HTTP: no certificates to load
        for number in range(count):
            answer = await http.post(
                sqs.url,
                headers={"X-Amz-Target": "AmazonSQS.SendMessage"},
                json={"QueueUrl": f"{sqs.url}/000000000000/main", "MessageBody": str(number)},
            )
            answer.raise_for_status()


async def until(happened: Callable[[], object]) -> None:
    while not happened():  # noqa: ASYNC110 - the daemon's counters have no change event
        await asyncio.sleep(0.001)


def states(sqs: SqsServer) -> list[str]:
    return [message.state for message in messages(sqs)]


def messages(sqs: SqsServer) -> tuple[Stored, ...]:
    return sqs.queues["main"].messages()


def fired(application: Application) -> list[float]:
    texts = (head.partition(b"Scheduled-At: ")[2][:20].decode() for head in application.requests)
    return [datetime.fromisoformat(text).timestamp() for text in texts]


async def test_an_idle_daemon_keeps_one_long_poll(
    sqs: SqsServer, build: Callable[..., Sqsd], application: Application
) -> None:
    application.release()
    async with build() as sqsd:
        await until(lambda: sqs.requests["ReceiveMessage"] == 1)
        await send(sqs, 1)
        await until(lambda: sqsd.counters.posted and sqsd.in_flight == 0)
        assert sqs.requests["ReceiveMessage"] == 2


async def test_it_prefetches_more_than_its_connections_can_take(
    sqs: SqsServer, build: Callable[..., Sqsd], application: Application, clock: ManualClock
) -> None:
    await send(sqs, 30)
    async with build(http_connections=2, backlog=10) as sqsd:
        await until(lambda: sqsd.in_flight == 12)
        await until(lambda: len(application.requests) == 2)
        assert states(sqs).count("in_flight") == 12
        assert {m.visible_at for m in messages(sqs) if m.state == "in_flight"} == {START + 300}
        application.release()
        await until(lambda: sqsd.counters.deleted == 30)
    assert len(application.requests) == 30


async def test_without_a_backlog_it_receives_only_as_many_as_it_has_connections(
    sqs: SqsServer, build: Callable[..., Sqsd], application: Application
) -> None:
    await send(sqs, 5)
    async with build(http_connections=3, backlog=0) as sqsd:
        await until(lambda: len(application.requests) == 3)
        assert (sqsd.counters.received, sqsd.in_flight) == (3, 3)
        sqsd.kill()
    assert sqs.requests["ReceiveMessage"] == 1


async def test_a_periodic_task_is_posted_to_its_path_with_an_empty_body(
    build: Callable[..., Sqsd], application: Application
) -> None:
    application.release()
    async with build(cron=CRON) as sqsd:
        message_id = await sqsd.fire("tidy", START)
        await until(lambda: application.requests)
    head = application.requests[0].decode()
    assert head.startswith("POST /tidy HTTP/1.1\r\n")
    for line in (
        f"X-Aws-Sqsd-Msgid: {message_id}",
        "X-Aws-Sqsd-Taskname: tidy",
        "X-Aws-Sqsd-Scheduled-At: 2026-01-01T00:00:00Z",
        "Content-Length: 0",
    ):
        assert f"\r\n{line}\r\n" in head


async def test_a_periodic_task_fires_at_each_scheduled_time(
    build: Callable[..., Sqsd], application: Application, clock: ManualClock
) -> None:
    application.release()
    async with build(cron=CRON):
        for seconds, sleepers in ((1800, 3), (3600, 4), (3600, 4)):
            # the pool's watch, the schedule, the server's long poll and, later, the deletes
            await clock.until_asleep(sleepers)
            clock.advance(seconds)
            await until(lambda: clock.time() in fired(application))
    # Advancing by an hour at once also expires leases before their deletes: some fire twice.
    assert sorted(set(fired(application))) == [START + 1800, START + 5400, START + 9000]


def test_periodic_tasks_are_refused_for_a_fifo_queue() -> None:
    with pytest.raises(ValueError, match="FIFO"):
        Sqsd("http://h/0/main.fifo", "http://h", cron=cron_tasks(CRON))


async def test_a_stop_drains_what_is_in_flight(
    sqs: SqsServer, build: Callable[..., Sqsd], application: Application
) -> None:
    await send(sqs, 5)
    stop = asyncio.Event()
    sqsd = build(http_connections=2)
    running = asyncio.create_task(sqsd.run(stop))
    await until(lambda: len(application.requests) == 2)
    stop.set()
    application.release()
    await running
    assert (sqsd.counters.deleted, sqsd.in_flight) == (5, 0)
    assert not messages(sqs)


async def test_a_drain_ends_at_its_timeout(
    sqs: SqsServer, build: Callable[..., Sqsd], application: Application, clock: ManualClock
) -> None:
    await send(sqs, 1)
    stop = asyncio.Event()
    running = asyncio.create_task(build(drain_timeout=20).run(stop))
    await until(lambda: application.requests)
    stop.set()
    while not running.done():
        clock.advance(1)
        await asyncio.sleep(0.001)
    assert states(sqs) == ["in_flight"]


async def test_without_a_drain_timeout_it_stops_at_once(
    sqs: SqsServer, build: Callable[..., Sqsd], application: Application
) -> None:
    await send(sqs, 1)
    async with build(drain_timeout=0):
        await until(lambda: application.requests)
    assert states(sqs) == ["in_flight"]


async def test_a_kill_deletes_nothing_and_returns_nothing(
    sqs: SqsServer, build: Callable[..., Sqsd], application: Application, clock: ManualClock
) -> None:
    await send(sqs, 4)
    async with build(http_connections=1) as sqsd:
        await until(lambda: application.requests)
        sqsd.kill()
    assert states(sqs) == ["in_flight"] * 4
    assert {message.visible_at for message in messages(sqs)} == {START + 300}
    assert (sqsd.counters.deleted, sqsd.counters.returned) == (0, 0)


async def test_a_crash_repeats_what_was_answered_but_not_yet_deleted(
    sqs: SqsServer, build: Callable[..., Sqsd], application: Application, clock: ManualClock
) -> None:
    application.release()
    await send(sqs, 1)
    async with build() as first:
        await until(lambda: first.counters.posted and first.in_flight == 0)
        first.kill()
    clock.advance(300)
    async with build() as second:
        await until(lambda: second.counters.posted)
    assert len(application.requests) == 2
    assert not messages(sqs)


async def test_it_survives_errors_of_sqs(
    sqs: SqsServer, build: Callable[..., Sqsd], application: Application, clock: ManualClock
) -> None:
    application.release()
    sqs.faults.add(
        Fault(action="ReceiveMessage", error="ServiceUnavailable"),
        Fault(action="ReceiveMessage", refuse=True),
        Fault(action="DeleteMessageBatch", error="RequestThrottled"),
    )
    await send(sqs, 10)
    async with build() as sqsd:
        for _ in range(2):
            await clock.until_asleep(2)  # the pool's watch and the pause
            clock.advance(1)
        await until(lambda: sqs.requests["DeleteMessageBatch"] == 1)
        await clock.until_asleep(2)  # the watch and the server's long poll
        clock.advance(300)
        await until(lambda: sqsd.counters.deleted == 10)
    assert sqsd.counters.posted == 20
