"""Measures the hosts beside each other: `python -m bench.hosts`. The figures of docs/hosts.md.

Each host delivers the same messages from the local SQS to the local Inngest, in turns. What counts
is the processor time of the relay's own processes for each message, read from /proc (Linux), and
the median time from sending one message to an idle relay until Inngest has it. Both are printed
with their ratios to the poller's, because a busy machine changes the figures and not the ratios.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from relay.local.environment import HOSTS, Environment, Host, Plan, local_environment
from relay.local.processes import RelayProcess

BATCH = 10
WARM_UP = 200
IDLE = 20
"""Messages that are sent one at a time for the latency."""

PATIENCE = 120.0


def main() -> None:
    """Run the turns and print a line for each host."""
    parser = argparse.ArgumentParser(prog="python -m bench.hosts", description=__doc__)
    parser.add_argument("--messages", type=int, default=3_000, help="in each turn")
    parser.add_argument("--turns", type=int, default=3)
    arguments = parser.parse_args()
    found: dict[Host, list[tuple[float, float]]] = {host: [] for host in HOSTS}
    for _ in range(arguments.turns):
        for host in HOSTS:
            found[host].append(asyncio.run(_turn(host, arguments.messages)))
    ours = {host: tuple(map(statistics.median, zip(*f, strict=True))) for host, f in found.items()}
    for host, (cpu, latency) in ours.items():
        ratios = [value / base for value, base in zip(ours[host], ours["poller"], strict=True)]
        sys.stdout.write(
            f"{host:8} {cpu * 1e6:7.0f} µs of CPU a message ({ratios[0]:.2f}),"
            f" latency {latency * 1e3:6.1f} ms ({ratios[1]:.2f})\n"
        )


async def _turn(host: Host, count: int) -> tuple[float, float]:
    """Seconds of CPU for each of so many messages, and the median latency of one in seconds."""
    with tempfile.TemporaryDirectory() as directory:
        plan = Plan(directory=Path(directory), host=host, settings={"RELAY_CONFIRM": "off"})
        async with local_environment(plan) as env:
            await _deliver(env, 0, WARM_UP)
            before = _cpu(env)
            await _deliver(env, WARM_UP, count)
            used = _cpu(env) - before
            first = WARM_UP + count
            latencies = [await _latency(env, first + n) for n in range(IDLE)]
        return used / count, statistics.median(latencies)


async def _deliver(env: Environment, first: int, count: int) -> None:
    for start in range(first, first + count, BATCH):
        entries = [_entry(n) for n in range(start, min(start + BATCH, first + count))]
        await env.client.send_message_batch(QueueUrl=env.queue_url, Entries=entries)
    await _accepted(env, first + count)


async def _latency(env: Environment, number: int) -> float:
    start = time.perf_counter()
    body = _entry(number)["MessageBody"]
    await env.client.send_message(QueueUrl=env.queue_url, MessageBody=body)
    await _accepted(env, number + 1)
    return time.perf_counter() - start


async def _accepted(env: Environment, count: int) -> None:
    inngest = env.inngest
    assert inngest is not None
    async with asyncio.timeout(PATIENCE):
        await inngest.until(lambda: len(inngest.events) >= count)


def _entry(number: int) -> dict[str, Any]:
    event = {"id": f"bench-{number}", "name": "bench/host", "data": {"pad": "x" * 200}}
    return {"Id": str(number % BATCH), "MessageBody": json.dumps(event)}


def _cpu(env: Environment) -> float:
    """Seconds of CPU that the relay's processes have used."""
    pids = [env.relay.pid] if isinstance(env.relay, RelayProcess) else env.relay.pids
    stats = [Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split() for pid in pids]
    return sum(int(one[11]) + int(one[12]) for one in stats) / os.sysconf("SC_CLK_TCK")


if __name__ == "__main__":
    main()
