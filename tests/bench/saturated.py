"""A saturated relay process, with its servers in the test's process.

The event API answers once the relay has as many messages in flight as it may have. On a quiet
machine a latency of 20 ms has the same effect; this does not depend on the machine.
"""

from __future__ import annotations

import asyncio
import contextlib
import sys
from asyncio.subprocess import DEVNULL, Process
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

from bench.payload import bodies
from bench.poster import Caller
from bench.queue_server import Queues
from bench.sink import Connection, Sink
from relay.local.processes import free_port
from relay.local.sqs import SqsServer

IN_FLIGHT = 500
"""As shipped."""

QUEUE = "main"
PATIENCE = 60.0

CONNECTIONS = 50
"""The worker daemon's connections, as Elastic Beanstalk ships it."""


class PatientSink(Sink):
    """Answers only while `due` returns true."""

    def __init__(self, due: Callable[[], bool]) -> None:
        super().__init__()
        self._due = due
        self._answers: list[Callable[[], None]] = []
        self.answered = 0

    def schedule(self, answer: Callable[[], None]) -> None:
        self._answers.append(answer)

    async def run(self) -> None:
        while True:
            # `due` reads counters, which have no change event.
            await asyncio.sleep(0.002)
            if self._answers and self._due():
                answers, self._answers = self._answers, []
                self.answered = self.counts()["events"]
                for answer in answers:
                    answer()


@contextlib.asynccontextmanager
async def listening(sink: PatientSink) -> AsyncIterator[str]:
    """Serve the sink; its URL."""
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
    """Return when the condition holds; fails after `PATIENCE` seconds."""
    async with asyncio.timeout(PATIENCE):
        while not condition():  # noqa: ASYNC110 - it depends on another process
            await asyncio.sleep(0.005)


async def accepting_connections(port: int, process: Process) -> None:
    """Return when the port accepts connections, or the process has ended."""
    while process.returncode is None:
        with contextlib.suppress(OSError):
            _, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.close()
            return
        await asyncio.sleep(0.02)


@contextlib.asynccontextmanager
async def relay(*command: str, sink: str, output: Path, **settings: str) -> AsyncIterator[Process]:
    """Run the relay with the shipped settings; killed at the end if it is still running."""
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
    """A queue, a relay that polls it, and the sink that it posts to."""

    def __init__(self, queues: Queues, sink: PatientSink, process: Process) -> None:
        self.queues = queues
        self.sink = sink
        self.process = process

    async def consume(self, messages: int) -> None:
        """Have this many messages delivered."""
        self.queues.fill(QUEUE, messages, 300)
        assert await self.queues.wait_until_empty(QUEUE, PATIENCE)


@contextlib.asynccontextmanager
async def pulling(*command: str, output: Path, **settings: str) -> AsyncIterator[Pulling]:
    """Run a relay with this module and arguments, and its servers."""
    async with SqsServer() as server:
        queues = Queues(server)
        url = queues.create_queue(QUEUE)
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
            yield Pulling(queues, sink, process)


class Pushing:
    """A relay that messages are posted to, over as many connections as sqsd has."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.process: Process
        self._wanted = self._drawn = 0
        self.sink = PatientSink(self._full)

    async def consume(self, messages: int) -> None:
        """Have this many messages delivered."""
        self._wanted += messages
        texts = self._draw(messages)
        async with asyncio.timeout(PATIENCE), asyncio.TaskGroup() as group:
            for _ in range(CONNECTIONS):
                group.create_task(self._keep_busy(texts))

    def _full(self) -> bool:
        waiting = self._drawn - self.sink.answered
        return waiting >= CONNECTIONS or self._drawn == self._wanted

    def _draw(self, count: int) -> Iterator[str]:
        for body in bodies(count, 300):
            self._drawn += 1
            yield body

    async def _keep_busy(self, texts: Iterator[str]) -> None:
        async with Caller(self.port, QUEUE) as caller:
            for text in texts:
                await caller.post(text)


@contextlib.asynccontextmanager
async def pushing(*command: str, output: Path) -> AsyncIterator[Pushing]:
    """Run a relay with this module and arguments in push mode, and its event API."""
    pushed = Pushing(free_port())
    async with (
        listening(pushed.sink) as api,
        relay(*command, sink=api, output=output, PORT=str(pushed.port)) as pushed.process,
    ):
        await accepting_connections(pushed.port, pushed.process)
        yield pushed
