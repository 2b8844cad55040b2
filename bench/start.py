"""CPU of a start: of the command line, of each mode, and of a cold Lambda function."""

from __future__ import annotations

import asyncio
import json
import os
import statistics
import subprocess
import sys
import time
import uuid

from bench.accounting import cpu_seconds
from bench.contestant import Contestant, relay_poll, relay_serve, variables
from bench.harness import Harness
from bench.payload import bodies
from bench.poster import deliver
from bench.server_process import BenchmarkFailed, on_cpus
from relay.local import lambda_events
from relay.local.environment import HANDLER
from relay.local.lambda_events.event import event

SIZE = 300
"""Bytes of the first message."""

HELP = "relay --help"
LAMBDA = "Lambda, cold"

TIMEOUT = 60
"""Seconds that the function may take."""


async def starts(harness: Harness, rounds: int) -> dict[str, float]:
    """Seconds of CPU from the start to the end, or to the first delivery: medians."""
    found: dict[str, list[float]] = {}
    for _ in range(rounds):
        found.setdefault(HELP, []).append(await asyncio.to_thread(_help, harness))
        for one in (relay_poll(), relay_serve()):
            found.setdefault(one.name, []).append(await _first_delivery(harness, one))
        found.setdefault(LAMBDA, []).append(await _cold_function(harness))
    return {name: statistics.median(all_) for name, all_ in found.items()}


def _help(harness: Harness) -> float:
    with on_cpus(harness.placement.contestant):
        process = subprocess.Popen(
            (sys.executable, "-m", "relay", "--help"), stdout=subprocess.DEVNULL
        )
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise BenchmarkFailed(f"{HELP} ended with exit code {process.returncode}")
    return used.ru_utime + used.ru_stime


async def _first_delivery(harness: Harness, contestant: Contestant) -> float:
    await harness.sink.call("set_latency", seconds=0.0)
    async with harness.session(contestant) as (queue, url, running):
        if contestant.pushed:
            await deliver(running, url, bodies(1, SIZE), 1)
        else:
            await harness.sqs.call("fill", name=queue, count=1, size=SIZE)
            await harness.wait_until_empty(queue, running)
        return cpu_seconds(running.process.pid)


async def _cold_function(harness: Harness) -> float:
    """CPU of a new execution environment up to its first answer."""
    name, url = await harness.new_queue()
    settings = variables(relay_poll(), harness.servers, url)
    with on_cpus(harness.placement.contestant):
        async with lambda_events.Function(
            HANDLER, variables=settings, output=harness.log, timeout=TIMEOUT, freeze=True
        ) as function:
            answer = await function.invoke(_event(name))
            used = sum(map(cpu_seconds, function.pids))
    if not isinstance(answer, lambda_events.Answer) or json.loads(answer.body)["batchItemFailures"]:
        raise BenchmarkFailed(f"the function did not deliver: {answer!r}")
    return used


def _event(queue: str) -> bytes:
    """What Lambda invokes a function with for one message."""
    now = str(int(time.time() * 1e3))
    message = {
        "MessageId": str(uuid.uuid4()),
        "ReceiptHandle": "bench",
        "Body": next(bodies(1, SIZE)),
        "Attributes": {
            "ApproximateReceiveCount": "1",
            "SentTimestamp": now,
            "ApproximateFirstReceiveTimestamp": now,
            "SenderId": "AIDAEXAMPLE",
        },
    }
    return event([message], f"arn:aws:sqs:us-east-1:000000000000:{queue}")
