"""Latency when idle, CPU of a start, and memory."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from dataclasses import dataclass

from bench.accounting import cpu_seconds, peak_bytes, resident_bytes
from bench.contestant import Contestant, relay_poll
from bench.harness import WITHIN, Harness, check
from bench.payload import bodies
from bench.poster import Caller, deliver

SMALL = 300
"""Bytes of a small message."""

PAUSE = 0.03
"""Seconds between two messages, so that each finds an idle relay."""

WARM_UP = 20
"""Messages before the first measured latency."""

MOST_IN_FLIGHT = 1_000
MEDIUM = 10_000
"""Messages in flight, and bytes of each, at the peak of memory."""

HOLD = 3.0
"""Seconds of the event API's latency until all messages are in flight."""

PARTS = 10
"""Measurements of memory over a long run."""


async def idle_latencies(harness: Harness, contestant: Contestant, count: int) -> list[float]:
    """Seconds from a message's arrival at the relay to the first byte of its POST, per message.

    They begin when SQS returns the message; in push mode, when the daemon writes it to a
    connection that is already open, as the daemon's are.
    """
    await harness.sink.call("set_latency", seconds=0.0)
    async with harness.session(contestant) as (queue, url, running), AsyncExitStack() as stack:
        caller = Caller(running.port, url)
        if contestant.pushed:
            await stack.enter_async_context(caller)
        found = []
        for number in range(count + WARM_UP):
            await asyncio.sleep(PAUSE)
            await harness.sink.call("take_arrivals")
            if contestant.pushed:
                start = await caller.post(next(bodies(1, SMALL)))
            else:
                start = await harness.sqs.call("send_one", name=queue, size=SMALL)
            arrivals = await harness.sink.call("take_arrivals")
            if number >= WARM_UP:
                found.append(arrivals[0] - start)
        return found


async def start_cpu(harness: Harness, contestant: Contestant) -> float:
    """Seconds of CPU from the start of the process to its first delivery."""
    await harness.sink.call("set_latency", seconds=0.0)
    async with harness.session(contestant) as (queue, url, running):
        if contestant.pushed:
            await deliver(running, url, bodies(1, SMALL), 1)
        else:
            await harness.sqs.call("fill", name=queue, count=1, size=SMALL)
            await harness.wait_until_empty(queue, running)
        return cpu_seconds(running.process.pid)


@dataclass(frozen=True)
class Memory:
    """Bytes: `full` is the peak with all messages in flight, `after` is in use after each part."""

    full: int
    messages: int
    after: list[int]


async def memory(harness: Harness, messages: int) -> Memory:
    """Fill one relay to its limit; send this many messages through another, in ten parts."""
    return Memory(await _full(harness), messages, await _over_time(harness, messages // PARTS))


async def _full(harness: Harness) -> int:
    relay = relay_poll(RELAY_MAX_IN_FLIGHT=str(MOST_IN_FLIGHT))
    await harness.sink.call("set_latency", seconds=HOLD)
    async with harness.session(relay) as (queue, _, running):
        await harness.sqs.call("fill", name=queue, count=MOST_IN_FLIGHT, size=MEDIUM)
        async with asyncio.timeout(WITHIN):
            while await _in_flight(harness, queue) < MOST_IN_FLIGHT:
                check(running)
                await asyncio.sleep(0.05)
        await harness.sink.call("set_latency", seconds=0.0)
        await harness.wait_until_empty(queue, running)
        return peak_bytes(running.process.pid)


async def _in_flight(harness: Harness, queue: str) -> int:
    count: int = await harness.sqs.call("in_flight", name=queue)
    return count


async def _over_time(harness: Harness, part: int) -> list[int]:
    await harness.sink.call("set_latency", seconds=0.0)
    found = []
    async with harness.session(relay_poll()) as (queue, _, running):
        for _ in range(PARTS):
            await harness.sqs.call("fill", name=queue, count=part, size=SMALL)
            await harness.wait_until_empty(queue, running)
            found.append(resident_bytes(running.process.pid))
    return found
