"""Growth: the same measurements with more messages in flight, and with more relays on a queue."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import AsyncExitStack
from typing import Any

from bench.accounting import cpu_seconds
from bench.contestant import Running, relay_poll
from bench.harness import Harness
from bench.run import WARM_UP, Workload, run

IN_FLIGHT = (1, 10, 100, 1_000)
RELAYS = (1, 2, 4)


async def by_in_flight(harness: Harness, workload: Workload, messages: int) -> list[dict[str, Any]]:
    """CPU, requests and POSTs per message, by the most messages in flight."""
    found = []
    for count in IN_FLIGHT:
        # With one in flight, each message takes a round trip, so that fewer are enough.
        some = min(messages, count * 100)
        result = await run(harness, relay_poll(some, RELAY_MAX_IN_FLIGHT=str(count)), workload)
        found.append(
            {
                "in_flight": count,
                "cpu": result.cpu,
                "requests": result.requests,
                "posts": result.posts,
                "rate": result.rate,
            }
        )
    return found


async def by_relays(harness: Harness, workload: Workload, messages: int) -> list[dict[str, Any]]:
    """CPU per message of all relays together, and their rate, by the number of relays."""
    found = []
    await harness.sink.call("set_latency", seconds=workload.latency)
    for count in RELAYS:
        async with AsyncExitStack() as stack:
            queue, url, first = await stack.enter_async_context(harness.session(relay_poll()))
            others = [
                await stack.enter_async_context(harness.running(relay_poll(), url))
                for _ in range(count - 1)
            ]
            all_ = [first, *others]
            pids = [running.process.pid for running in all_]
            await _consume(harness, queue, workload, WARM_UP * count * 3, all_)
            start, before = time.time(), sum(map(cpu_seconds, pids))
            await _consume(harness, queue, workload, messages, all_)
            took, used = time.time() - start, sum(map(cpu_seconds, pids)) - before
            found.append({"relays": count, "cpu": used / messages * 1e6, "rate": messages / took})
    return found


async def _consume(
    harness: Harness, queue: str, workload: Workload, count: int, relays: Sequence[Running]
) -> None:
    await harness.sqs.call("fill", name=queue, count=count, size=workload.size)
    await harness.wait_until_empty(queue, *relays)
