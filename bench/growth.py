"""Growth: the same figures with more in hand, and with more relays on one queue."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import AsyncExitStack
from typing import Any

from bench.accounting import cpu_seconds
from bench.contestant import Running, relay_poll
from bench.harness import Ground
from bench.run import WARM_UP, Work, run

IN_FLIGHT = (1, 10, 100, 1_000)
RELAYS = (1, 2, 4)


async def in_flight(ground: Ground, work: Work, messages: int) -> list[dict[str, Any]]:
    """CPU, requests and POSTs a message by the most that may be in hand."""
    found = []
    for count in IN_FLIGHT:
        # One at a time is a round trip for each message: fewer of them tell as much.
        some = min(messages, count * 100)
        figures = await run(ground, relay_poll(some, RELAY_MAX_IN_FLIGHT=str(count)), work)
        found.append(
            {
                "in_flight": count,
                "cpu": figures.cpu,
                "requests": figures.requests,
                "posts": figures.posts,
                "rate": figures.rate,
            }
        )
    return found


async def relays(ground: Ground, work: Work, messages: int) -> list[dict[str, Any]]:
    """CPU a message of all relays together, and their rate, by how many share the queue."""
    found = []
    await ground.sink.ask("wait", seconds=work.latency)
    for count in RELAYS:
        async with AsyncExitStack() as stack:
            queue, url, first = await stack.enter_async_context(ground.course(relay_poll()))
            others = [
                await stack.enter_async_context(ground.running(relay_poll(), url))
                for _ in range(count - 1)
            ]
            all_ = [first, *others]
            pids = [running.process.pid for running in all_]
            await _done(ground, queue, work, WARM_UP * count * 3, all_)
            start, before = time.time(), sum(map(cpu_seconds, pids))
            await _done(ground, queue, work, messages, all_)
            took, used = time.time() - start, sum(map(cpu_seconds, pids)) - before
            found.append({"relays": count, "cpu": used / messages * 1e6, "rate": messages / took})
    return found


async def _done(
    ground: Ground, queue: str, work: Work, count: int, all_: Sequence[Running]
) -> None:
    await ground.sqs.ask("fill", name=queue, count=count, size=work.size)
    await ground.emptied(queue, *all_)
