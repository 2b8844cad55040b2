"""Real signals to real processes, in real time."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from relay.aws.session import open_session
from relay.aws.sqs import open_queue
from relay.aws.sqs_values import Outgoing
from relay.local.sqs.server import SqsServer
from tests.sources.poller.rig import until

WORKER = Path(__file__).with_name("worker.py")
BODIES = [f"m{i}" for i in range(20)]


class Worker:
    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process
        self.lines: list[str] = []
        self._reading = asyncio.create_task(self._read())

    async def _read(self) -> None:
        assert self.process.stdout is not None
        async for line in self.process.stdout:
            self.lines.append(line.decode().strip())

    async def left(self) -> int:
        code = await self.process.wait()
        await self._reading
        return code

    def count(self, word: str) -> int:
        return sum(line.startswith(word) for line in self.lines)


@pytest.fixture
async def server(aws: pytest.MonkeyPatch) -> AsyncIterator[SqsServer]:
    async with SqsServer() as server, open_session() as session:
        aws.setenv("AWS_ENDPOINT_URL_SQS", server.url)
        client = await session.client("sqs")
        await client.create_queue(QueueName="main", Attributes={"VisibilityTimeout": "2"})
        async with open_queue(session, "main") as queue:
            await queue.send([Outgoing(body=body) for body in BODIES])
        yield server


@asynccontextmanager
async def working(seconds: float) -> AsyncIterator[Worker]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, str(WORKER), "main", str(seconds), stdout=asyncio.subprocess.PIPE
    )
    worker = Worker(process)
    try:
        yield worker
    finally:
        if process.returncode is None:
            process.kill()
        await worker.left()


async def test_sigterm_with_messages_in_flight_leaves_none_hidden(server: SqsServer) -> None:
    async with working(seconds=60) as worker:
        await until(lambda: worker.count("start") == len(BODIES))
        worker.process.send_signal(signal.SIGTERM)
        assert await worker.left() == 0
        assert worker.count("left") == 1
    assert [stored.state for stored in server.queues["main"].messages()] == ["visible"] * 20


async def test_a_second_sigterm_leaves_at_once(server: SqsServer) -> None:
    async with working(seconds=60) as worker:
        await until(lambda: worker.count("start") == len(BODIES))
        worker.process.send_signal(signal.SIGTERM)
        worker.process.send_signal(signal.SIGTERM)
        assert await worker.left() == 0
    assert len(server.queues["main"].messages()) == 20


async def test_sigterm_finishes_what_can_be_finished(server: SqsServer) -> None:
    async with working(seconds=0.5) as worker:
        await until(lambda: worker.count("start") == len(BODIES))
        worker.process.send_signal(signal.SIGTERM)
        assert await worker.left() == 0
        assert worker.count("end") == len(BODIES)
    assert server.queues["main"].messages() == ()


async def test_a_process_killed_in_mid_flight_loses_nothing(server: SqsServer) -> None:
    async with working(seconds=60) as killed:
        await until(lambda: killed.count("start") == len(BODIES))
        async with working(seconds=0) as other:
            killed.process.kill()
            await until(lambda: not server.queues["main"].messages())
            assert {line.split()[1] for line in other.lines} == set(BODIES)


async def test_a_process_suspended_for_longer_than_its_leases_loses_nothing(
    server: SqsServer,
) -> None:
    async with working(seconds=0.2) as stopped:
        await until(lambda: stopped.count("start") >= 1)
        os.kill(stopped.process.pid, signal.SIGSTOP)
        async with working(seconds=0) as other:
            await until(lambda: not server.queues["main"].messages())
            os.kill(stopped.process.pid, signal.SIGCONT)
            await until(lambda: stopped.count("end") == stopped.count("start"))
            handled = {line.split()[1] for line in (*other.lines, *stopped.lines)}
            assert handled == set(BODIES)
            other.process.send_signal(signal.SIGTERM)
            stopped.process.send_signal(signal.SIGTERM)
            assert await other.left() == 0
            assert await stopped.left() == 0
