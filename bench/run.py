"""One course: a contestant, a queue that is filled at a stroke, and what it took to empty it."""

from __future__ import annotations

import asyncio
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass

from bench.accounting import cpu_seconds, peak_bytes
from bench.contestant import Contestant, Running
from bench.harness import Ground
from bench.payload import bodies
from bench.poster import deliver

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
    about: str
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


async def run(ground: Ground, contestant: Contestant, work: Work, shrink: int = 1) -> Figures:
    """Let the contestant do the work once, or with `shrink` a part of it.

    Raises:
        Failed: it ends, refuses or takes too long.
    """
    count = _count(contestant, work) // shrink
    await ground.sink.ask("wait", seconds=work.latency)
    async with ground.course(contestant) as (queue, url, running):
        await consume(ground, contestant, running, queue, url, work, min(WARM_UP, count))
        await asyncio.sleep(0.2)  # the last deletes of the warm-up
        await ground.sqs.ask("held")
        before = await _state(ground, running)
        held = await consume(ground, contestant, running, queue, url, work, count)
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
    requests: int
    posts: int


async def _state(ground: Ground, running: Running) -> _State:
    return _State(
        time.time(),
        cpu_seconds(running.process.pid),
        cpu_seconds(ground.sqs.pid),
        sum((await ground.sqs.ask("seen")).values()),
        (await ground.sink.ask("seen")).get("posts", 0),
    )


async def consume(
    ground: Ground,
    contestant: Contestant,
    running: Running,
    queue: str,
    url: str,
    work: Work,
    count: int,
) -> Sequence[float]:
    """Have so many messages done; for how long each was in hand.

    Raises:
        Failed: the contestant ends, refuses or takes too long.
    """
    if contestant.pushed:
        return await deliver(running, url, bodies(count, work.size, work.poison), CONNECTIONS)
    await ground.sqs.ask("fill", name=queue, count=count, size=work.size, poison=work.poison)
    await ground.emptied(queue, running)
    held: list[float] = await ground.sqs.ask("held")
    return held


def _figures(
    before: _State, after: _State, count: int, held: Sequence[float], peak: int
) -> Figures:
    return Figures(
        cpu=(after.cpu - before.cpu) / count * 1e6,
        requests=(after.requests - before.requests) / count,
        posts=(after.posts - before.posts) / count,
        rate=count / (after.at - before.at),
        server=(after.server - before.server) / count * 1e6,
        peak=peak,
        held=(_quantile(held, 50), _quantile(held, 99)),
    )


def _quantile(values: Sequence[float], percent: int) -> float:
    return statistics.quantiles(values, n=100)[percent - 1] if len(values) > 1 else 0.0
