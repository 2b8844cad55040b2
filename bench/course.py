"""One course: a contestant, a queue that is filled at a stroke, and what it took to empty it."""

from __future__ import annotations

import asyncio
import contextlib
import statistics
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from bench.accounting import cpu_seconds, peak_bytes
from bench.contestant import Contestant, Running, started
from bench.poster import post
from bench.servant import Servant

WITHIN = 120.0
"""Seconds after which a course is given up."""

WARM_UP = 300
"""Messages before the first measured one: imports, connections and compilers are done by then."""

LARGE = 50_000
"""Bytes of a message that is large."""

CONNECTIONS = 50
"""Of the worker daemon, as Elastic Beanstalk ships it."""


@dataclass(frozen=True, kw_only=True)
class Work:
    """What is to be done. `size` is bytes a message, `latency` seconds of the event API."""

    name: str
    size: int
    latency: float = 0.0
    poison: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Figures:
    """What it took, for each message: `cpu` of the process in µs, requests to SQS, POSTs.

    `rate` is messages a second, `held` the p50 and p99 of seconds in hand, `server` the CPU of the
    SQS in µs, `peak` the most memory of the process in bytes.
    """

    cpu: float
    requests: float
    posts: float
    rate: float
    server: float
    peak: int
    held: tuple[float, float] = (0.0, 0.0)
    actions: dict[str, int] = field(default_factory=dict)


class Ground:
    """The two servers, the CPUs, and a fresh queue for each course."""

    def __init__(self, sqs: Servant, sink: Servant, cpu: int | None, log: Path) -> None:
        self.sqs = sqs
        self.sink = sink
        self.log = log
        self._cpu = cpu
        self._queues = 0

    @contextlib.asynccontextmanager
    async def course(self, contestant: Contestant) -> AsyncIterator[tuple[str, str, Running]]:
        """A contestant that is ready, the name of its queue and the queue's URL."""
        self._queues += 1
        name = f"bench-{self._queues}"
        url = await self.sqs.ask("queue", name=name, dead=f"{name}-dead")
        async with self.running(contestant, url) as running:
            await self._ready(contestant, running)
            yield name, url, running

    @contextlib.asynccontextmanager
    async def running(self, contestant: Contestant, queue: str) -> AsyncIterator[Running]:
        """One more contestant on a queue."""
        async with started(
            contestant,
            sqs=self.sqs.ready,
            queue=queue,
            url=self.sink.ready,
            cpu=self._cpu,
            log=self.log,
        ) as running:
            yield running

    async def _ready(self, contestant: Contestant, running: Running) -> None:
        """Wait until it asks for a message, or answers."""
        before = (await self.sqs.ask("seen")).get("ReceiveMessage", 0)
        async with asyncio.timeout(WITHIN):
            while True:
                await asyncio.sleep(0.02)
                if running.process.returncode is not None:
                    raise RuntimeError(f"{contestant.name} has ended, see {self.log}")
                if contestant.pushed:
                    with contextlib.suppress(OSError):
                        _, writer = await asyncio.open_connection("127.0.0.1", running.port)
                        writer.close()
                        return
                elif (await self.sqs.ask("seen")).get("ReceiveMessage", 0) > before:
                    return


async def run(ground: Ground, contestant: Contestant, work: Work, shrink: int = 1) -> Figures:
    """Let the contestant do the work once, or with `shrink` a part of it."""
    count = _count(contestant, work) // shrink
    await ground.sink.ask("wait", seconds=work.latency)
    async with ground.course(contestant) as (queue, url, running):
        await _consume(ground, contestant, running, queue, url, work, min(WARM_UP, count))
        await asyncio.sleep(0.2)
        await ground.sqs.ask("held")
        before = await _state(ground, running)
        held = await _consume(ground, contestant, running, queue, url, work, count)
        after = await _state(ground, running)
        return _figures(before, after, count, held, peak_bytes(running.process.pid))


def _count(contestant: Contestant, work: Work) -> int:
    # Large messages fill the servers' memory and cost more each: fewer of them tell as much.
    return max(200, contestant.messages // 8) if work.size > LARGE else contestant.messages


@dataclass(frozen=True)
class _State:
    at: float
    cpu: float
    server: float
    actions: dict[str, int]
    posts: int


async def _state(ground: Ground, running: Running) -> _State:
    return _State(
        time.time(),
        cpu_seconds(running.process.pid),
        cpu_seconds(ground.sqs.pid),
        await ground.sqs.ask("seen"),
        (await ground.sink.ask("seen")).get("posts", 0),
    )


async def _consume(
    ground: Ground,
    contestant: Contestant,
    running: Running,
    queue: str,
    url: str,
    work: Work,
    count: int,
) -> Sequence[float]:
    """Have so many messages done; for how long each was in hand."""
    if contestant.pushed:
        return await post(running.port, url, count, work, CONNECTIONS)
    await ground.sqs.ask("fill", name=queue, count=count, size=work.size, poison=work.poison)
    await ground.sqs.ask("emptied", name=queue, within=WITHIN)
    held: list[float] = await ground.sqs.ask("held")
    return held


def _figures(
    before: _State, after: _State, count: int, held: Sequence[float], peak: int
) -> Figures:
    actions = {
        action: total - before.actions.get(action, 0) for action, total in after.actions.items()
    }
    return Figures(
        cpu=(after.cpu - before.cpu) / count * 1e6,
        requests=sum(actions.values()) / count,
        posts=(after.posts - before.posts) / count,
        rate=count / (after.at - before.at),
        server=(after.server - before.server) / count * 1e6,
        peak=peak,
        held=(_quantile(held, 50), _quantile(held, 99)),
        actions={action: many for action, many in actions.items() if many},
    )


def _quantile(values: Sequence[float], percent: int) -> float:
    return statistics.quantiles(values, n=100)[percent - 1] if len(values) > 1 else 0.0
