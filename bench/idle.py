"""Idle latency: from a message's arrival at the relay to the first byte of its POST."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack

from bench.contestant import Contestant
from bench.harness import Ground
from bench.payload import bodies
from bench.poster import Caller

REST = 0.03
"""Seconds between two messages, so that each finds an idle relay."""

WARM = 20
SIZE = 300


async def latencies(ground: Ground, contestant: Contestant, count: int) -> list[float]:
    """Seconds, one figure a message.

    They begin as SQS hands the message out, in push mode as the daemon writes it to a connection
    that is open, as the daemon's are.
    """
    await ground.sink.ask("wait", seconds=0.0)
    async with ground.course(contestant) as (queue, url, running), AsyncExitStack() as stack:
        caller = Caller(running.port, url)
        if contestant.pushed:
            await stack.enter_async_context(caller)
        found = []
        for number in range(count + WARM):
            await asyncio.sleep(REST)
            await ground.sink.ask("arrived")
            if contestant.pushed:
                start = await caller.post(next(bodies(1, SIZE)))
            else:
                start = await ground.sqs.ask("one", name=queue, size=SIZE)
            arrived = await ground.sink.ask("arrived")
            if number >= WARM:
                found.append(arrived[0] - start)
        return found
