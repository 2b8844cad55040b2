"""Memory of a relay: idle, full of messages, and over a long run."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from bench.accounting import peak_bytes, resident_bytes
from bench.contestant import Running, relay_poll, relay_serve
from bench.harness import WITHIN, Harness, check

SMALL = 300
"""Bytes of a small message."""

MOST_IN_FLIGHT = 1_000
MEDIUM = 10_000
"""Messages in flight, and bytes of each, at the peak of memory."""

LARGE = 100_000
LARGE_MESSAGES = 1_000
"""More of them than the relay takes: the bytes in flight limit it, as shipped to 64 MiB."""

HOLD = 3.0
"""Seconds of the event API's latency until all messages are in flight."""

UNCHANGED = 1.0
"""Seconds after which the messages in flight count as all that the relay takes."""

PARTS = 10
"""Measurements of memory over a long run."""


@dataclass(frozen=True, kw_only=True)
class Full:
    """Bytes of a full relay: before the first message, at the peak, and of messages in flight."""

    before: int
    peak: int
    in_flight: int


@dataclass(frozen=True, kw_only=True)
class Memory:
    """Bytes in use.

    Attributes:
        idle: of each mode before its first message.
        full: with 1,000 messages of 10 KB in flight.
        large: with as many messages of 100 KB in flight as the relay takes.
        messages: of the long run.
        after: in use after each tenth of the long run.
    """

    idle: dict[str, int]
    full: Full
    large: Full
    messages: int
    after: list[int]


async def memory(harness: Harness, messages: int) -> Memory:
    """Measure idle relays, fill two to their limits, and send so many messages through another."""
    idle = {}
    for one in (relay_poll(), relay_serve()):
        async with harness.session(one) as (_, _, running):
            idle[one.name] = resident_bytes(running.process.pid)
    return Memory(
        idle=idle,
        full=await _full(harness, MOST_IN_FLIGHT, MEDIUM),
        large=await _full(harness, LARGE_MESSAGES, LARGE),
        messages=messages,
        after=await _over_time(harness, messages // PARTS),
    )


async def _full(harness: Harness, count: int, size: int) -> Full:
    await harness.sink.call("set_latency", seconds=HOLD)
    relay = relay_poll(RELAY_MAX_IN_FLIGHT=str(count))
    async with harness.session(relay) as (queue, _, running):
        before = resident_bytes(running.process.pid)
        await harness.sqs.call("fill", name=queue, count=count, size=size)
        most = await _most_in_flight(harness, queue, running, count)
        await harness.sink.call("set_latency", seconds=0.0)
        await harness.wait_until_empty(queue, running)
        peak = peak_bytes(running.process.pid)
        return Full(before=before, peak=peak, in_flight=most * size)


async def _most_in_flight(harness: Harness, queue: str, running: Running, count: int) -> int:
    """Wait until all messages, or as many as the relay takes, are in flight; how many they are."""
    loop = asyncio.get_running_loop()
    most, since = 0, loop.time()
    async with asyncio.timeout(WITHIN):
        while most < count and not (most and loop.time() - since > UNCHANGED):
            check(running)
            now: int = await harness.sqs.call("in_flight", name=queue)
            if now > most:
                most, since = now, loop.time()
            await asyncio.sleep(0.05)
    return most


async def _over_time(harness: Harness, part: int) -> list[int]:
    await harness.sink.call("set_latency", seconds=0.0)
    found = []
    async with harness.session(relay_poll()) as (queue, _, running):
        for _ in range(PARTS):
            await harness.sqs.call("fill", name=queue, count=part, size=SMALL)
            await harness.wait_until_empty(queue, running)
            found.append(resident_bytes(running.process.pid))
    return found
