"""One run: a contestant processes a workload, and what that costs is measured."""

from __future__ import annotations

import asyncio
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

from bench.accounting import cpu_seconds, family, peak_bytes
from bench.contestant import Contestant, Running
from bench.harness import Harness
from bench.payload import bodies
from bench.poster import deliver

WARM_UP = 300
"""Messages before the first measured one: imports, connections and compilers are done by then."""

HELD = 125_000_000
"""Bytes of messages that the SQS is filled with at the most."""

FEWEST = 120
"""Messages of a run."""

CONNECTIONS = 50
"""The worker daemon's connections, as Elastic Beanstalk ships it."""


@dataclass(frozen=True, kw_only=True)
class Workload:
    """What to process. `size` is bytes per message, `latency` seconds of the event API."""

    name: str
    about: str
    size: int
    latency: float = 0.0
    poison: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Measurement:
    """The result of a run.

    Attributes:
        cpu: µs of the contestant per message.
        requests: SQS requests per message.
        posts: POSTs per message.
        rate: messages per second.
        server: µs of CPU of the SQS per message.
        peak: the contestant's peak memory in bytes.
        in_flight_seconds: p50 and p99 of the time that a message is in flight.
        connections: TLS connections that it opened, from its start on.
        resumed: how many of them resumed a session.
    """

    cpu: float
    requests: float
    posts: float
    rate: float
    server: float
    peak: int
    in_flight_seconds: tuple[float, float] = (0.0, 0.0)
    connections: int = 0
    resumed: int = 0


async def run(
    harness: Harness,
    contestant: Contestant,
    workload: Workload,
    shrink: int = 1,
    *,
    spread: bool = False,
) -> Measurement:
    """Process the workload once; `shrink` divides the number of messages.

    With `spread` the contestant may use every CPU that the servers leave free, otherwise one.

    Raises:
        BenchmarkFailed: the contestant ends, refuses a message or takes too long.
    """
    count = _count(contestant, workload, shrink)
    await harness.sink.call("set_latency", seconds=workload.latency)
    handshakes = await harness.handshakes()
    async with harness.session(contestant, spread=spread) as (queue, url, running):
        await consume(harness, contestant, running, queue, url, workload, min(WARM_UP, count))
        await asyncio.sleep(0.2)  # the last deletes of the warm-up
        await harness.sqs.call("take_times")
        before = await _state(harness, running)
        times = await consume(harness, contestant, running, queue, url, workload, count)
        after = await _state(harness, running)
        peak = sum(map(peak_bytes, family(running.process.pid)))
        found = _measurement(before, after, count, times, peak)
        opened = [
            now - then for now, then in zip(await harness.handshakes(), handshakes, strict=True)
        ]
        return replace(found, connections=opened[0], resumed=opened[1])


def _count(contestant: Contestant, workload: Workload, shrink: int) -> int:
    # Large messages fill the servers' memory and cost more each, so that fewer are enough.
    fit = max(FEWEST, HELD // workload.size)
    return max(FEWEST // 2, min(contestant.messages, fit) // shrink)


@dataclass(frozen=True)
class _State:
    at: float
    cpu: float
    server: float
    requests: int
    posts: int


async def _state(harness: Harness, running: Running) -> _State:
    return _State(
        time.time(),
        sum(map(cpu_seconds, family(running.process.pid))),
        cpu_seconds(harness.sqs.pid),
        sum((await harness.sqs.call("requests")).values()),
        (await harness.sink.call("counts")).get("posts", 0),
    )


async def consume(
    harness: Harness,
    contestant: Contestant,
    running: Running,
    queue: str,
    url: str,
    workload: Workload,
    count: int,
) -> Sequence[float]:
    """Have this many messages processed; returns the seconds that each was in flight.

    Raises:
        BenchmarkFailed: the contestant ends, refuses a message or takes too long.
    """
    if contestant.pushed:
        messages = bodies(count, workload.size, workload.poison)
        return await deliver(running, url, messages, CONNECTIONS)
    await harness.sqs.call(
        "fill", name=queue, count=count, size=workload.size, poison=workload.poison
    )
    await harness.wait_until_empty(queue, running)
    times: list[float] = await harness.sqs.call("take_times")
    return times


def _measurement(
    before: _State, after: _State, count: int, times: Sequence[float], peak: int
) -> Measurement:
    return Measurement(
        cpu=(after.cpu - before.cpu) / count * 1e6,
        requests=(after.requests - before.requests) / count,
        posts=(after.posts - before.posts) / count,
        rate=count / (after.at - before.at),
        server=(after.server - before.server) / count * 1e6,
        peak=peak,
        in_flight_seconds=(_quantile(times, 50), _quantile(times, 99)),
    )


def _quantile(values: Sequence[float], percent: int) -> float:
    return statistics.quantiles(values, n=100)[percent - 1] if len(values) > 1 else 0.0
