"""How many requests a message costs when there is always more to do. Counted, never timed.

The event API answers when the relay has all in hand that it may have, which is what a latency of
20 ms comes to on a machine that is quiet, and here does not depend on one.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

from bench.payload import bodies
from bench.poster import Caller
from bench.queue_server import Shop
from bench.sink import Connection, Sink
from relay.local.free_port import free_port
from relay.local.relay_process import RelayProcess
from relay.local.sqs import SqsServer

IN_HAND = 500
"""As shipped."""

CONNECTIONS = 50
"""Of the worker daemon, as Elastic Beanstalk ships it."""

PATIENCE = 60.0


class PatientSink(Sink):
    """Answers nobody before `due` says so."""

    def __init__(self, due: Callable[[], bool]) -> None:
        super().__init__()
        self._due = due
        self._answers: list[Callable[[], None]] = []
        self.answered = 0

    def later(self, answer: Callable[[], None]) -> None:
        self._answers.append(answer)

    async def run(self) -> None:
        while True:
            # What is due is seen in counters that announce nothing.
            await asyncio.sleep(0.002)
            if self._answers and self._due():
                answers, self._answers = self._answers, []
                self.answered = self.seen()["events"]
                for answer in answers:
                    answer()


@contextlib.asynccontextmanager
async def listening(sink: PatientSink) -> AsyncIterator[str]:
    """The sink on a socket; its URL."""
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Connection(sink), "127.0.0.1", 0)
    task = asyncio.create_task(sink.run())
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        server.close()


@contextlib.asynccontextmanager
async def relay(
    mode: str, sink: str, output: Path, port: int | None = None, **settings: str
) -> AsyncIterator[None]:
    """The relay as shipped, but for its servers; killed in the end, for nothing is left to do."""
    process = RelayProcess(
        mode,
        settings={
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_REGION": "us-east-1",
            "RELAY_INNGEST_EVENT_KEY": "test",
            "RELAY_INNGEST_URL": sink,
            "RELAY_CONFIRM": "off",
            "RELAY_METRICS": "none",
            **settings,
        },
        output=output,
        port=port,
    )
    async with process:
        yield
        await process.kill()


async def test_a_full_hand_costs_a_receive_and_a_delete_for_ten_and_full_batches(
    tmp_path: Path,
) -> None:
    messages = 2_000
    async with SqsServer() as server:
        shop = Shop(server)
        url = shop.queue("main")
        shop.fill("main", messages, 300)
        queue = server.queues["main"]

        def full() -> bool:
            visible, in_flight, *_ = queue.counts()
            return in_flight >= IN_HAND or not visible

        sink = PatientSink(full)
        async with (
            listening(sink) as api,
            relay(
                "poll",
                api,
                tmp_path / "relay.log",
                AWS_ENDPOINT_URL=server.url,
                RELAY_QUEUE_URL=url,
            ),
        ):
            assert await shop.emptied("main", PATIENCE)
        seen = sink.seen()
        assert seen["events"] == messages
        assert seen["posts"] <= 0.015 * messages, seen
        assert sum(shop.seen().values()) <= 0.21 * messages, shop.seen()


async def test_fifty_connections_share_their_posts(tmp_path: Path) -> None:
    messages = 1_000
    port = free_port()
    asked = 0

    def drawn() -> Iterator[str]:
        nonlocal asked
        for body in bodies(messages, 300):
            asked += 1
            yield body

    def full() -> bool:
        return asked - sink.answered >= CONNECTIONS or asked == messages

    async def keep_busy(texts: Iterator[str]) -> None:
        async with Caller(port, "main") as caller:
            for text in texts:
                await caller.post(text)

    sink = PatientSink(full)
    async with (
        listening(sink) as api,
        relay("serve", api, tmp_path / "relay.log", port, PORT=str(port)),
        asyncio.timeout(PATIENCE),
        asyncio.TaskGroup() as group,
    ):
        texts = drawn()
        for _ in range(CONNECTIONS):
            group.create_task(keep_busy(texts))
    seen = sink.seen()
    assert seen["events"] == messages
    assert seen["posts"] <= 0.1 * messages, seen
