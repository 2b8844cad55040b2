"""Memory: with everything in hand, and after many messages."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from bench.accounting import peak_bytes, resident_bytes
from bench.contestant import relay_poll
from bench.harness import WITHIN, Ground, check

IN_FLIGHT = 1_000
SIZE = 10_000

LONG = 3.0
"""Seconds of the event API's latency until everything is in hand."""

PARTS = 10


@dataclass(frozen=True)
class Memory:
    """Bytes: `full` is the peak with everything in hand, `after` is in use after each part."""

    full: int
    messages: int
    after: list[int]


async def memory(ground: Ground, messages: int) -> Memory:
    """Fill the hand of one relay; send so many messages through another, in ten parts."""
    return Memory(await _full(ground), messages, await _flat(ground, messages // PARTS))


async def _full(ground: Ground) -> int:
    relay = relay_poll(RELAY_MAX_IN_FLIGHT=str(IN_FLIGHT))
    await ground.sink.ask("wait", seconds=LONG)
    async with ground.course(relay) as (queue, _, running):
        await ground.sqs.ask("fill", name=queue, count=IN_FLIGHT, size=SIZE)
        async with asyncio.timeout(WITHIN):
            while await _held(ground, queue) < IN_FLIGHT:
                check(running)
                await asyncio.sleep(0.05)
        await ground.sink.ask("wait", seconds=0.0)
        await ground.emptied(queue, running)
        return peak_bytes(running.process.pid)


async def _held(ground: Ground, queue: str) -> int:
    held: int = await ground.sqs.ask("held_now", name=queue)
    return held


async def _flat(ground: Ground, part: int) -> list[int]:
    await ground.sink.ask("wait", seconds=0.0)
    found = []
    async with ground.course(relay_poll()) as (queue, _, running):
        for _ in range(PARTS):
            await ground.sqs.ask("fill", name=queue, count=part, size=300)
            await ground.emptied(queue, running)
            found.append(resident_bytes(running.process.pid))
    return found
