"""Growth: the same measurements with more messages in flight, more relays and more processes.

Relays and processes use every CPU that the servers leave free.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from typing import Any

from bench.accounting import cpu_seconds
from bench.contestant import Running, relay_poll
from bench.harness import Harness
from bench.run import WARM_UP, Workload, run
from relay.settings.model import Settings

IN_FLIGHT = (1, 10, 100, 1_000)
RELAYS = (1, 2, 4)
PROCESSES = (1, 2)

SETTING = "RELAY_PROCESSES"


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
            session = harness.session(relay_poll(), spread=True)
            queue, url, first = await stack.enter_async_context(session)
            others = [
                await stack.enter_async_context(harness.running(relay_poll(), url, spread=True))
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


async def by_processes(
    harness: Harness, workload: Workload, messages: int, rounds: int
) -> dict[str, Any]:
    """CPU per message and rate of one relay, by its processes; the reason if that is no setting.

    The rate of more processes can grow only if the servers leave them as many CPUs: `cpus`.
    """
    if "processes" not in Settings.model_fields:
        return {"skipped": f"{SETTING} is no setting of this version"}
    found: dict[int, list[Any]] = {count: [] for count in PROCESSES}
    for _ in range(rounds):
        for count, results in found.items():
            relay = relay_poll(messages, **{SETTING: str(count)})
            results.append(await run(harness, relay, workload, spread=True))
    rows = [
        {
            "processes": count,
            "cpu": _least(results, lambda one: one.cpu),
            "rate": -_least(results, lambda one: -one.rate),
            "peak": _least(results, lambda one: one.peak),
        }
        for count, results in found.items()
    ]
    free = harness.placement.free
    return {"cpus": len(free) if free else 1, "rows": rows}


def _least(results: Sequence[Any], of: Callable[[Any], float]) -> float:
    """The least of all rounds: other programs on the machine only add."""
    return min(map(of, results))


async def _consume(
    harness: Harness, queue: str, workload: Workload, count: int, relays: Sequence[Running]
) -> None:
    await harness.sqs.call("fill", name=queue, count=count, size=workload.size)
    await harness.wait_until_empty(queue, *relays)
