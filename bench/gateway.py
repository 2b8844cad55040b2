"""Measures `relay gateway`: CPU per event by batch size and added latency, beside Inngest.

    python -m bench.gateway [--rounds 3] [--inngest http://127.0.0.1:8288/e/KEY]

The last line is JSON. A request is what the JavaScript SDK sends: an array with a seed.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import os
import statistics
import sys
import time
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack
from typing import Any
from urllib.parse import urlsplit

from bench.accounting import cpu_seconds, peak_bytes
from bench.contestant import BUILD, RELAY, Contestant
from bench.harness import WITHIN, Harness, harness
from bench.http_caller import HttpCaller
from bench.payload import bodies
from bench.server_process import BenchmarkFailed, placement

KEY = "bench"
SIZE = 300
"""Bytes of an event."""

CONNECTIONS = 10
BATCHES = {1: 3_000, 10: 10_000, 100: 40_000}
"""Events of a round, by events in a request."""

WARM_UP = 500
"""Requests before the first measured one."""

IDLE = 300
PAUSE = 0.01
"""Requests of the measurement of latency, and seconds between two of them."""

GATEWAY = Contestant(
    name="relay gateway",
    command=(sys.executable, "-m", "relay", "gateway"),
    messages=0,
    about="events of 300 B, ten connections, a local SQS",
    settings=RELAY | {"RELAY_GATEWAY_KEYS": f"bench={KEY}"},
    pushed=True,
)

INNGEST = "BENCH_INNGEST"
"""The variable with the event API of a real Inngest server, its key included."""


async def gateway(
    harness: Harness,
    rounds: int,
    inngest: str | None,
    *,
    batches: Mapping[int, int] = BATCHES,
    idle: int = IDLE,
) -> dict[str, Any]:
    """The figures of the gateway by batch size, its added latency, and Inngest's figures.

    Args:
        harness: the servers.
        rounds: rounds, of which each figure's median counts.
        inngest: the event API of a real Inngest server, with its key; None to leave it out.
        batches: events of a round, by events in a request.
        idle: requests for the latency.
    """
    async with harness.session(GATEWAY) as (_, queue, running):
        url = f"http://127.0.0.1:{running.port}/e/{KEY}"
        await _ready(url)
        await intake(url, 1, WARM_UP)

        async def measured(batch: int) -> dict[str, Any]:
            before = cpu_seconds(running.process.pid)
            figures = await intake(url, batch, batches[batch])
            used = cpu_seconds(running.process.pid) - before
            return {**figures, "cpu": used / batches[batch] * 1e6}

        found = await _rounds(measured, batches, rounds)
        before = cpu_seconds(running.process.pid)
        latency = await _added_latency(url, queue, harness.sqs.ready, idle)
        latency["cpu"] = (cpu_seconds(running.process.pid) - before) / idle * 1e6
        peak = peak_bytes(running.process.pid)
    return {
        "about": GATEWAY.about,
        "batches": found,
        "latency": latency,
        "peak": peak,
        "inngest": await _inngest(inngest, batches, rounds),
    }


async def _ready(url: str) -> None:
    """Wait until the gateway has opened its queue."""
    async with asyncio.timeout(WITHIN):
        while True:
            try:
                async with HttpCaller(url) as caller:
                    await caller.call(b"GET /ready HTTP/1.1\r\nhost: localhost\r\n\r\n")
                    return
            except BenchmarkFailed:
                await asyncio.sleep(0.05)


async def _inngest(url: str | None, batches: Mapping[int, int], rounds: int) -> dict[str, Any]:
    if url is None:
        return {"skipped": f"{INNGEST} is not set to the event API of a real Inngest server"}
    await intake(url, 1, WARM_UP)

    async def measured(batch: int) -> dict[str, Any]:
        return await intake(url, batch, batches[batch] // 10)

    return {"batches": await _rounds(measured, batches, rounds)}


async def _rounds(
    measured: Callable[[int], Awaitable[dict[str, Any]]], batches: Iterable[int], rounds: int
) -> dict[str, dict[str, float]]:
    """The median of each figure over all rounds, by batch size."""
    found: dict[int, list[dict[str, Any]]] = {batch: [] for batch in batches}
    for _ in range(rounds):
        for batch, some in found.items():
            some.append(await measured(batch))
    return {
        str(batch): {name: statistics.median(one[name] for one in some) for name in some[0]}
        for batch, some in found.items()
    }


async def intake(url: str, batch: int, events: int) -> dict[str, float]:
    """Post so many events over busy connections; events a second, and seconds of a request."""
    requests = itertools.islice(_requests(url, batch), events // batch)
    times: list[float] = []

    async def keep_busy() -> None:
        async with HttpCaller(url) as caller:
            for request in requests:
                start = time.perf_counter()
                await caller.call(request)
                times.append(time.perf_counter() - start)

    start = time.perf_counter()
    try:
        async with asyncio.TaskGroup() as group:
            for _ in range(CONNECTIONS):
                group.create_task(keep_busy())
    except* (BenchmarkFailed, OSError) as failed:
        raise BenchmarkFailed(f"an event was not accepted: {failed.exceptions[0]}") from failed
    seconds = time.perf_counter() - start
    return {"rate": len(times) * batch / seconds, "seconds": statistics.median(times)}


def _requests(url: str, batch: int) -> Iterator[bytes]:
    path, host = urlsplit(url).path, urlsplit(url).netloc
    body = ",".join(bodies(batch, SIZE)).encode()
    events = b"[%b]" % body  # the ids are made from the seed
    for number in itertools.count(1):
        yield (
            f"POST {path} HTTP/1.1\r\nhost: {host}\r\ncontent-type: application/json\r\n"
            f"x-inngest-sdk: inngest-js:v4.24.0\r\nuser-agent: inngest-js:v4.24.0\r\n"
            f"x-inngest-event-id-seed: {1_780_000_000_000 + number},AAECAwQFBgcICQ==\r\n"
            f"content-length: {len(events)}\r\n\r\n"
        ).encode() + events


async def _added_latency(url: str, queue: str, sqs: str, count: int) -> dict[str, float]:
    """Seconds of one event through the gateway and of the same message sent to SQS, in turns."""
    found: dict[str, list[float]] = {"gateway": [], "sqs": []}
    async with AsyncExitStack() as stack:
        both: dict[str, tuple[HttpCaller, Iterator[bytes]]] = {
            "gateway": (await stack.enter_async_context(HttpCaller(url)), _requests(url, 1)),
            "sqs": (await stack.enter_async_context(HttpCaller(sqs)), _sends(queue, sqs)),
        }
        for _ in range(count):
            for name, (caller, requests) in both.items():
                await asyncio.sleep(PAUSE)
                start = time.perf_counter()
                await caller.call(next(requests))
                found[name].append(time.perf_counter() - start)
    medians = {name: statistics.median(times) for name, times in found.items()}
    added = sorted(ours - theirs for ours, theirs in zip(*found.values(), strict=True))
    return {**medians, "added": statistics.median(added), "p99": _p99(added)}


def _p99(values: Sequence[float]) -> float:
    return statistics.quantiles(values, n=100)[98]


def _sends(queue: str, sqs: str) -> Iterator[bytes]:
    event = next(bodies(1, SIZE))
    entry = {"Id": "0", "MessageBody": event}
    body = json.dumps({"QueueUrl": queue, "Entries": [entry]}).encode()
    head = (
        f"POST / HTTP/1.1\r\nhost: {urlsplit(sqs).netloc}\r\n"
        "content-type: application/x-amz-json-1.0\r\nx-amz-target: AmazonSQS.SendMessageBatch\r\n"
        f"content-length: {len(body)}\r\n\r\n"
    ).encode()
    return itertools.repeat(head + body)


async def _main(rounds: int, inngest: str | None) -> dict[str, Any]:
    BUILD.mkdir(parents=True, exist_ok=True)
    async with harness(BUILD / "gateway.log", placement()) as both:
        return await gateway(both, rounds, inngest)


def main() -> None:
    """Parse the command line and measure."""
    parser = argparse.ArgumentParser(prog="python -m bench.gateway", description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--inngest", metavar="URL", default=os.environ.get(INNGEST))
    arguments = parser.parse_args()
    print(json.dumps(asyncio.run(_main(arguments.rounds, arguments.inngest))))


if __name__ == "__main__":
    main()
