"""The ground: two servers, the CPUs, and a fresh queue for each course."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

from bench.contestant import Contestant, Running, started
from bench.failure import Failed
from bench.server_process import Servant

WITHIN = 120.0
"""Seconds after which a course is given up."""

LAST = 2_000
"""Characters of what a contestant printed last that are shown if it ends."""


class Ground:
    """Where everybody runs.

    Args:
        sqs: what all contestants consume.
        sink: what all contestants post to.
        cpu: the CPU that they run on; None where they may choose.
        log: a file for what the contestants of a course print.
    """

    def __init__(self, sqs: Servant, sink: Servant, cpu: int | None, log: Path) -> None:
        self.sqs = sqs
        self.sink = sink
        self._log = log
        self._cpu = cpu
        self._queues = 0

    @contextlib.asynccontextmanager
    async def course(self, contestant: Contestant) -> AsyncIterator[tuple[str, str, Running]]:
        """A contestant that is ready, the name of its queue and the queue's URL.

        Raises:
            Failed: it does not get ready. What fails inside the block gets its last words added.
        """
        self._queues += 1
        name = f"bench-{self._queues}"
        url = await self.sqs.ask("queue", name=name, dead=f"{name}-dead")
        self._log.write_bytes(b"")  # a line a message: only the last course's are worth their disk
        try:
            async with self.running(contestant, url) as running:
                await self._ready(contestant, running)
                yield name, url, running
        except Failed as error:
            raise Failed(f"{error}{self._last_words()}") from error

    @contextlib.asynccontextmanager
    async def running(self, contestant: Contestant, queue: str) -> AsyncIterator[Running]:
        """One more contestant on a queue."""
        async with started(
            contestant,
            sqs=self.sqs.ready,
            queue=queue,
            url=self.sink.ready,
            cpu=self._cpu,
            log=self._log,
        ) as running:
            yield running

    async def emptied(self, queue: str, *all_: Running) -> None:
        """Wait until nothing is left in the queue, neither visible nor in flight.

        Raises:
            Failed: one of those who empty it has ended, or it takes too long.
        """
        waiting = asyncio.ensure_future(self.sqs.ask("emptied", name=queue, within=WITHIN))
        ends = [asyncio.ensure_future(one.process.wait()) for one in all_]
        try:
            await asyncio.wait({waiting, *ends}, return_when=asyncio.FIRST_COMPLETED)
            for one in all_:
                check(one)
            if not await waiting:
                names = ", ".join(one.name for one in all_)
                raise Failed(f"{names} left messages after {WITHIN:.0f} s")
        finally:
            for task in (waiting, *ends):
                task.cancel()
            await asyncio.gather(waiting, *ends, return_exceptions=True)

    async def _ready(self, contestant: Contestant, running: Running) -> None:
        """Wait until it asks for a message, or answers."""
        before = await self._receives()
        try:
            async with asyncio.timeout(WITHIN):
                while not await self._is_ready(contestant, running, before):  # noqa: ASYNC110 - another process
                    await asyncio.sleep(0.02)
        except TimeoutError as error:
            raise Failed(f"{running.name} is not ready") from error

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
        seen: dict[str, int] = await self.sqs.ask("seen")
        return seen.get("ReceiveMessage", 0)

    def _last_words(self) -> str:
        printed = self._log.read_text(errors="replace").strip()[-LAST:]
        return f"; the last that it printed, from {self._log}:\n{printed}" if printed else ""


def check(running: Running) -> None:
    """Look whether it still runs.

    Raises:
        Failed: it does not.
    """
    code = running.process.returncode
    if code is not None:
        raise Failed(f"{running.name} has ended with exit code {code}")
