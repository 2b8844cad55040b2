"""Latency when idle."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack

from bench.contestant import Contestant
from bench.harness import Harness
from bench.payload import bodies
from bench.poster import Caller

SMALL = 300
"""Bytes of a small message."""

PAUSE = 0.03
"""Seconds between two messages, so that each finds an idle relay."""

WARM_UP = 20
"""Messages before the first measured latency."""


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
