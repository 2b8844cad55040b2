"""The harness: the two servers, the CPUs, and a new queue for each session of a contestant."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

from bench.authority import create_certificates
from bench.contestant import Contestant, Running, Servers, started
from bench.server_process import BenchmarkFailed, Placement, ServerProcess

WITHIN = 120.0
"""Seconds after which a wait fails."""

LAST = 2_000
"""Characters of a contestant's last output that are shown if it ends."""

ANYWHERE = Placement()


class Harness:
    """Runs contestants against the same two servers.

    Args:
        sqs: the SQS that all contestants consume.
        sink: the event API that all contestants post to.
        log: a file for the output of the contestants in a session.
        placement: the CPUs of the contestants.
        authority: of the servers' certificates, if they serve https.
    """

    def __init__(
        self,
        sqs: ServerProcess,
        sink: ServerProcess,
        log: Path,
        placement: Placement = ANYWHERE,
        authority: Path | None = None,
    ) -> None:
        self.sqs = sqs
        self.sink = sink
        self.log = log
        self.placement = placement
        self.servers = Servers(sqs=sqs.ready, url=sink.ready, authority=authority)
        self._queues = 0

    @contextlib.asynccontextmanager
    async def session(
        self, contestant: Contestant, *, spread: bool = False
    ) -> AsyncIterator[tuple[str, str, Running]]:
        """Run a contestant on a new queue: the queue's name, its URL, and the ready contestant.

        With `spread` it may use every CPU that the servers leave free, otherwise one.

        Raises:
            BenchmarkFailed: it does not become ready. To failures inside the block, its last output
                is added.
        """
        name, url = await self.new_queue()
        self.log.write_bytes(b"")  # a line per message: only the last session's output is kept
        try:
            async with self.running(contestant, url, spread=spread) as running:
                await self._ready(contestant, running)
                yield name, url, running
        except BenchmarkFailed as error:
            raise BenchmarkFailed(f"{error}{self._last_output()}") from error

    async def new_queue(self) -> tuple[str, str]:
        """A new queue with a dead-letter queue, `NAME-dead`: its name and its URL."""
        self._queues += 1
        name = f"bench-{self._queues}"
        return name, await self.sqs.call("create_queue", name=name, dead=f"{name}-dead")

    async def handshakes(self) -> tuple[int, int]:
        """TLS connections so far, to both servers, and how many of them resumed a session."""
        found = [await one.call("handshakes") for one in (self.sqs, self.sink)]
        return sum(one["connections"] for one in found), sum(one["resumed"] for one in found)

    @contextlib.asynccontextmanager
    async def running(
        self, contestant: Contestant, queue: str, *, spread: bool = False
    ) -> AsyncIterator[Running]:
        """Run one more contestant on a queue."""
        async with started(
            contestant,
            servers=self.servers,
            queue=queue,
            cpus=self.placement.free if spread else self.placement.contestant,
            log=self.log,
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
        printed = self.log.read_text(errors="replace").strip()[-LAST:]
        return f"; its last output, from {self.log}:\n{printed}" if printed else ""


@contextlib.asynccontextmanager
async def harness(
    log: Path, placement: Placement = ANYWHERE, tls: Path | None = None
) -> AsyncIterator[Harness]:
    """Two new servers and their harness.

    Args:
        log: a file for the output of the contestants in a session.
        placement: the CPUs of servers and contestants.
        tls: a directory for the certificates of servers with TLS; None for plain ones.
    """
    authority = create_certificates(tls) if tls else None
    arguments = (str(tls),) if tls else ()
    async with (
        ServerProcess("bench.queue_server", *arguments, cpus=placement.servers) as sqs,
        ServerProcess("bench.sink", *arguments, cpus=placement.servers) as sink,
    ):
        yield Harness(sqs, sink, log, placement, authority)


def check(running: Running) -> None:
    """Check that the contestant is still running.

    Raises:
        BenchmarkFailed: it has ended.
    """
    code = running.process.returncode
    if code is not None:
        raise BenchmarkFailed(f"{running.name} has ended with exit code {code}")
