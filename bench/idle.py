"""Idle latency: from a message's arrival at the relay to the first byte of its POST."""

from __future__ import annotations

import asyncio
import time

from bench.contestant import Contestant
from bench.course import Ground, Work
from bench.poster import post

REST = 0.03
"""Seconds between two messages, so that each finds an idle relay."""

WARM = 20


async def latencies(ground: Ground, contestant: Contestant, count: int) -> list[float]:
    """Seconds, one figure a message; for pull mode they begin as SQS hands the message out."""
    await ground.sink.ask("wait", seconds=0.0)
    async with ground.course(contestant) as (queue, url, running):
        found = []
        for number in range(count + WARM):
            await asyncio.sleep(REST)
            await ground.sink.ask("arrived")
            if contestant.pushed:
                start = time.time()
                await post(running.port, url, 1, Work(name="one", size=300), 1)
            else:
                start = await ground.sqs.ask("one", name=queue, size=300)
            arrived = await ground.sink.ask("arrived")
            if number >= WARM:
                found.append(arrived[0] - start)
        return found
