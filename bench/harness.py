"""The harness: the two servers, the CPUs, and a new queue for each session of a contestant."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

from bench.contestant import Contestant, Running, started
from bench.server_process import BenchmarkFailed, ServerProcess

WITHIN = 120.0
"""Seconds after which a wait fails."""

LAST = 2_000
"""Characters of a contestant's last output that are shown if it ends."""


class Harness:
    """Runs contestants against the same two servers.

    Args:
        sqs: the SQS that all contestants consume.
        sink: the event API that all contestants post to.
        cpu: the CPU of the contestants; None for any.
        log: a file for the output of the contestants in a session.
    """

    def __init__(self, sqs: ServerProcess, sink: ServerProcess, cpu: int | None, log: Path) -> None:
        self.sqs = sqs
        self.sink = sink
        self._log = log
        self._cpu = cpu
        self._queues = 0

    @contextlib.asynccontextmanager
    async def session(self, contestant: Contestant) -> AsyncIterator[tuple[str, str, Running]]:
        """Run a contestant on a new queue: the queue's name, its URL, and the ready contestant.

        Raises:
            BenchmarkFailed: it does not become ready. To failures inside the block, its last output
                is added.
        """
        self._queues += 1
        name = f"bench-{self._queues}"
        url = await self.sqs.call("create_queue", name=name, dead=f"{name}-dead")
        self._log.write_bytes(b"")  # a line per message: only the last session's output is kept
        try:
            async with self.running(contestant, url) as running:
                await self._ready(contestant, running)
                yield name, url, running
        except BenchmarkFailed as error:
            raise BenchmarkFailed(f"{error}{self._last_output()}") from error

    @contextlib.asynccontextmanager
    async def running(self, contestant: Contestant, queue: str) -> AsyncIterator[Running]:
        """Run one more contestant on a queue."""
        async with started(
            contestant,
            sqs=self.sqs.ready,
            queue=queue,
            url=self.sink.ready,
            cpu=self._cpu,
            log=self._log,
        ) as running:
            yield running

    async def wait_until_empty(self, queue: str, *consumers: Running) -> None:
        """Wait until no message is left in the queue, neither visible nor in flight.

        Raises:
            BenchmarkFailed: one of the consumers has ended, or it takes too long.
        """
        waiting = asyncio.ensure_future(
            self.sqs.call("wait_until_empty", name=queue, within=WITHIN)
        )
        ends = [asyncio.ensure_future(one.process.wait()) for one in consumers]
        try:
            await asyncio.wait({waiting, *ends}, return_when=asyncio.FIRST_COMPLETED)
            for one in consumers:
                check(one)
            if not await waiting:
                names = ", ".join(one.name for one in consumers)
                raise BenchmarkFailed(f"{names} left messages after {WITHIN:.0f} s")
        finally:
            for task in (waiting, *ends):
                task.cancel()
            await asyncio.gather(waiting, *ends, return_exceptions=True)

    async def _ready(self, contestant: Contestant, running: Running) -> None:
        """Wait until it receives, or accepts connections."""
        before = await self._receives()
        try:
            async with asyncio.timeout(WITHIN):
                while not await self._is_ready(contestant, running, before):  # noqa: ASYNC110 - another process
                    await asyncio.sleep(0.02)
        except TimeoutError as error:
            raise BenchmarkFailed(f"{running.name} does not become ready") from error

    async def _is_ready(self, contestant: Contestant, running: Running, before: int) -> bool:
        check(running)
        if not contestant.pushed:
            return await self._receives() > before
        with contextlib.suppress(OSError):
            _, writer = await asyncio.open_connection("127.0.0.1", running.port)
            writer.close()
            return True
        return False

    async def _receives(self) -> int:
        requests: dict[str, int] = await self.sqs.call("requests")
        return requests.get("ReceiveMessage", 0)

    def _last_output(self) -> str:
        printed = self._log.read_text(errors="replace").strip()[-LAST:]
        return f"; its last output, from {self._log}:\n{printed}" if printed else ""


def check(running: Running) -> None:
    """Check that the contestant is still running.

    Raises:
        BenchmarkFailed: it has ended.
    """
    code = running.process.returncode
    if code is not None:
        raise BenchmarkFailed(f"{running.name} has ended with exit code {code}")
