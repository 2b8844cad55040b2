"""Measures `relay dlq`: a redrive, compared with a bare loop of the same client, and a snapshot.

    python -m bench.dlq [--messages 10000] [--rounds 3] [--snapshot 100000]

The last line is JSON: the rates of both by round (messages per second), their ratio, SQS requests
per message, and the peak memory of a process that pulls the snapshot.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any
from urllib.request import urlopen

from bench.payload import dead_letter
from relay.aws.session import open_session
from relay.aws.sqs import Queue, open_queue
from relay.aws.sqs_values import Outgoing
from relay.dlq.dead_letter import DeadLetter, read_dead_letter
from relay.dlq.journal import Journal
from relay.dlq.leases import Deleter, Leases
from relay.dlq.queue_target import QueueTarget
from relay.dlq.run import Run
from relay.dlq.safeguards import GrowthGuard, RateLimit
from relay.dlq.scan import Scan
from relay.dlq.selection import Counts, RunControl, Selection
from relay.dlq.snapshot import Head
from relay.dlq.targets import TargetQueue
from relay.envelope import Rules
from relay.model.message import Message

LEASE = 600.0
SENDERS = 4
RULES = Rules()

_PULL = """
import resource, sys
from relay.__main__ import main
sys.argv = ["relay", "dlq", "pull", sys.argv[1], "--dlq", "dead", "--wait", "0"]
try:
    main()
finally:
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)
"""


@contextlib.contextmanager
def server() -> Iterator[str]:
    """Run a local SQS as a process; its URL."""
    command = [sys.executable, "-m", "relay.local.sqs", "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield process.stdout.readline().strip()
        finally:
            process.terminate()


async def fill(queue: Queue, count: int) -> None:
    """Send this many dead letters."""

    async def some(numbers: range) -> None:
        for start in range(numbers.start, numbers.stop, 10):
            stop = min(start + 10, numbers.stop)
            await queue.send([dead_letter(i) for i in range(start, stop)])

    share = -(-count // SENDERS)
    parts = (range(i * share, min((i + 1) * share, count)) for i in range(SENDERS))
    await asyncio.gather(*map(some, parts))


async def bare(dead: Queue, main: Queue) -> int:
    """Receive ten, send ten, delete ten, until a receive is empty; nothing else."""
    count = 0
    while found := await dead.receive(wait=0, visibility=LEASE):
        await main.send(
            [
                Outgoing(body=one.message.body.decode(), attributes=one.message.attributes)
                for one in found
            ]
        )
        await dead.delete([one.handle for one in found])
        count += len(found)
    return count


async def redrive(dead: Queue, main: Queue, directory: Path) -> int:
    """The same with the tool: parsed, filtered, backed up, journaled, guarded."""

    async def read(message: Message) -> DeadLetter:
        return read_dead_letter(message, RULES, "main")

    async def route(_: DeadLetter) -> TargetQueue:
        return TargetQueue(main, 1_048_576)

    head = Head(queue="dead", arn=dead.arn, taken_at=0.0, retention=1e6, fifo=False)
    journal = Journal(directory, head, {})
    leases = Leases(dead, LEASE)
    control = RunControl(asyncio.Event())
    selection = Selection(read=read, includes=lambda _: True, modify=lambda dead: dead)
    scan = Scan(dead, lease=LEASE, wait=0, held_count=lambda: len(leases), stop=control.should_stop)
    run = Run(
        dead,
        scan,
        Deleter(dead, leases, journal),
        journal,
        QueueTarget(route, journal.id),
        selection,
        control,
        GrowthGuard((await dead.attributes()).visible),
    )
    counts: Counts = await run.execute(RateLimit(None), lambda _: None)
    journal.close()
    assert counts.complete, counts
    return counts.deleted


@contextlib.asynccontextmanager
async def queues() -> AsyncIterator[tuple[Any, Queue, Queue]]:
    """Create the dead-letter queue and the main queue; a client and both queues."""
    async with open_session() as session:
        client = await session.client("sqs")
        for name in ("dead", "main"):
            await client.create_queue(QueueName=name)
        async with open_queue(session, "dead") as dead, open_queue(session, "main") as main:
            yield client, dead, main


async def compare(messages: int, rounds: int, url: str) -> dict[str, object]:
    """Run both alternately, several times, so that other load on the machine affects both."""
    rates: dict[str, list[float]] = {"bare": [], "redrive": []}
    requests = 0.0
    async with queues() as (client, dead, main):
        with tempfile.TemporaryDirectory() as directory:
            for number in range(rounds):
                for name in rates if number % 2 else reversed(rates):
                    await fill(dead, messages)
                    before, start = request_count(url), time.perf_counter()
                    if name == "bare":
                        done = await bare(dead, main)
                    else:
                        done = await redrive(dead, main, Path(directory, f"run-{number}"))
                    rates[name].append(messages / (time.perf_counter() - start))
                    assert done == messages
                    if name == "redrive":
                        requests = (request_count(url) - before) / messages
                    await recreate(client, main)
    ratio = statistics.median(
        mine / theirs for mine, theirs in zip(rates["redrive"], rates["bare"], strict=True)
    )
    rounded = {name: [round(rate) for rate in some] for name, some in rates.items()}
    return {"rates": rounded, "ratio": round(ratio, 3), "requests_per_message": round(requests, 4)}


async def recreate(client: Any, queue: Queue) -> None:
    """Empty the queue by recreating it, as SQS allows a purge only once a minute."""
    await client.delete_queue(QueueUrl=queue.url)
    await client.create_queue(QueueName=queue.name)


def request_count(url: str) -> int:
    """The number of requests that the server has answered."""
    with urlopen(f"{url}/_state") as answer:
        return sum(json.load(answer)["Requests"].values())


async def pull(count: int) -> dict[str, object]:
    """Pull a snapshot of this many messages in a separate process."""
    async with queues() as (_, dead, _):
        await fill(dead, count)
    with tempfile.TemporaryDirectory() as directory:
        start = time.perf_counter()
        command = [sys.executable, "-c", _PULL, str(Path(directory, "all.jsonl.gz"))]
        process = await asyncio.create_subprocess_exec(*command, stdout=subprocess.PIPE)
        out, _ = await process.communicate()
    words = out.decode().split()
    assert words[0] == str(count), out
    seconds = time.perf_counter() - start
    return {"messages": count, "seconds": round(seconds, 1), "peak_mb": int(words[-1])}


def main() -> None:
    """Parse the command line and run the benchmark."""
    parser = argparse.ArgumentParser(prog="python -m bench.dlq", description=__doc__)
    parser.add_argument("--messages", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--snapshot", type=int, default=100_000)
    arguments = parser.parse_args()
    with server() as url:
        os.environ.update(
            AWS_ENDPOINT_URL=url,
            AWS_REGION="us-east-1",
            AWS_ACCESS_KEY_ID="bench",
            AWS_SECRET_ACCESS_KEY="bench",
        )
        report = asyncio.run(compare(arguments.messages, arguments.rounds, url))
        if arguments.snapshot:
            report["snapshot"] = asyncio.run(pull(arguments.snapshot))
    print(json.dumps(report))


if __name__ == "__main__":
    main()
