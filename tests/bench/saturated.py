"""A relay that always has more to do, between servers in the test's own process.

The event API answers when the relay has all in hand that it may have, which is what a latency of
20 ms comes to on a machine that is quiet, and here does not depend on one.
"""

from __future__ import annotations

import asyncio
import contextlib
import sys
from asyncio.subprocess import DEVNULL, Process
from collections.abc import AsyncIterator, Callable
from pathlib import Path

from bench.queue_server import Shop
from bench.sink import Connection, Sink
from relay.local.sqs import SqsServer

IN_FLIGHT = 500
"""As shipped."""

QUEUE = "main"
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


async def until(condition: Callable[[], object]) -> None:
    """Return when the condition holds; fails after `PATIENCE` real seconds."""
    async with asyncio.timeout(PATIENCE):
        while not condition():  # noqa: ASYNC110 - the condition is at another process's end
            await asyncio.sleep(0.005)


async def answering(port: int, process: Process) -> None:
    """Return when somebody listens there, or the process has ended."""
    while process.returncode is None:
        with contextlib.suppress(OSError):
            _, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.close()
            return
        await asyncio.sleep(0.02)


@contextlib.asynccontextmanager
async def relay(*command: str, sink: str, output: Path, **settings: str) -> AsyncIterator[Process]:
    """The relay as shipped, but for its servers; killed in the end if it still runs."""
    with output.open("ab") as printed:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            *command,
            env={
                "AWS_ACCESS_KEY_ID": "test",
                "AWS_SECRET_ACCESS_KEY": "test",
                "AWS_REGION": "us-east-1",
                "RELAY_INNGEST_EVENT_KEY": "test",
                "RELAY_INNGEST_URL": sink,
                "RELAY_CONFIRM": "off",
                "RELAY_METRICS": "none",
                **settings,
            },
            stdin=DEVNULL,
            stdout=printed,
            stderr=printed,
        )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


class Pulling:
    """A queue that is filled, a relay that polls it, and what it posts to."""

    def __init__(self, shop: Shop, sink: PatientSink, process: Process) -> None:
        self.shop = shop
        self.sink = sink
        self.process = process

    async def consume(self, messages: int) -> None:
        """Have so many messages delivered."""
        self.shop.fill(QUEUE, messages, 300)
        assert await self.shop.emptied(QUEUE, PATIENCE)


@contextlib.asynccontextmanager
async def pulling(*command: str, output: Path, **settings: str) -> AsyncIterator[Pulling]:
    """A relay that was started with this module and arguments, and its servers."""
    async with SqsServer() as server:
        shop = Shop(server)
        url = shop.queue(QUEUE)
        queue = server.queues[QUEUE]

        def full() -> bool:
            visible, in_flight, *_ = queue.counts()
            return in_flight >= IN_FLIGHT or not visible

        sink = PatientSink(full)
        settings |= {"AWS_ENDPOINT_URL": server.url, "RELAY_QUEUE_URL": url}
        async with (
            listening(sink) as api,
            relay(*command, sink=api, output=output, **settings) as process,
        ):
            yield Pulling(shop, sink, process)
