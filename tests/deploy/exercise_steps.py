"""The commands and hosts that an exercise runs, one function for each group of calls."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from contextlib import AsyncExitStack
from pathlib import Path

from relay.local.environment import HANDLER
from relay.local.lambda_events import EventSource, Function
from relay.local.lambda_events.queue import SqsQueue
from relay.local.processes import RelayProcess, free_port
from relay.local.sqsd import Sqsd
from tests.deploy.aws_calls import Call
from tests.deploy.exercise import (
    BUCKET,
    FUNCTION,
    INSTANCE,
    OPERATOR,
    POINTER,
    SETUP,
    SMALL_QUEUE,
    SQSD,
    TASK,
    VARIABLES,
    Exercise,
    event,
    exercise,
)
from tests.deploy.instance import QUICK
from tests.deploy.simulated_aws import REGION, Aws

QUICK_FUNCTION = 25.0
"""Seconds that an invocation may take: not longer than the queue's visibility timeout."""


def pointer(key: str) -> str:
    return json.dumps([POINTER, {"s3BucketName": BUCKET, "s3Key": key}])


LARGE_POISON = os.urandom(SMALL_QUEUE).hex()
"""Not JSON, and too large for the dead-letter queue even when compressed."""


MESSAGES = (
    event("shop/order", 1),
    event("machine/start", 1),
    pointer("large"),
    "poison",
    LARGE_POISON,
)


async def serve(run: Exercise) -> None:
    """`relay serve` behind the worker daemon."""
    port = free_port()
    output = run.directory / "serve.log"
    variables = run.variables(INSTANCE) | {"PORT": str(port)}
    async with (
        RelayProcess("serve", settings=variables, output=output, port=port) as relay,
        Sqsd(
            run.main,
            f"http://127.0.0.1:{port}",
            QUICK,
            endpoint_url=run.recorder.url,
            region=REGION,
        ),
    ):
        await run.send(*MESSAGES)
        await run.until_empty(relay)
        await run.run(OPERATOR, "status", "--once", "--relay", f"http://127.0.0.1:{port}")


async def poll(run: Exercise) -> None:
    """`relay poll`, which knows only the queue's name; without a ledger, events are repeated."""
    variables = run.variables(INSTANCE) | {"RELAY_QUEUE_URL": "shop-events"}
    for name in ("RELAY_DLQ_URL", "RELAY_LEDGER_TABLE"):
        del variables[name]
    output = run.directory / "poll.log"
    async with RelayProcess("poll", settings=variables, output=output) as relay:
        await run.send(*MESSAGES)
        await run.until_empty(relay)


async def task(run: Exercise) -> None:
    """`relay poll` with the variables of a task, which finds both queues by their names.

    The second time it has no ledger, so that it asks the state machine for what it started.
    """
    names = {"RELAY_QUEUE_URL": f"{run.name}-events", "RELAY_DLQ_URL": f"{run.name}-events-dlq"}
    for changed in ({}, {"RELAY_LEDGER_TABLE": ""}):
        variables = run.variables(TASK) | names | {"PORT": str(free_port())} | changed
        async with RelayProcess("poll", settings=variables, output=run.directory / "log") as relay:
            await run.send(*MESSAGES)
            await run.until_empty(relay)
    await run.run(TASK, "doctor", expected=1)


async def function(run: Exercise) -> None:
    """The Lambda function, in an outage at first, and behind an event source with its role."""
    names = {"RELAY_QUEUE_URL": f"{run.name}-events", "RELAY_DLQ_URL": f"{run.name}-events-dlq"}
    for changed in ({}, {"RELAY_LEDGER_TABLE": ""}):
        variables = run.variables(FUNCTION) | names | changed
        output = run.directory / "function.log"
        await run.inngest.down()
        async with AsyncExitStack() as stack:
            relay = Function(HANDLER, variables=variables, output=output, timeout=QUICK_FUNCTION)
            await stack.enter_async_context(relay)
            queue = SqsQueue(run.main, endpoint_url=run.recorder.url, region=REGION)
            await stack.enter_async_context(queue)
            source = EventSource(queue, relay.invoke, function_timeout=QUICK_FUNCTION)
            await stack.enter_async_context(source)
            await run.send(*MESSAGES)
            await run.recorder.until(
                lambda: run.recorder.called(FUNCTION, "sqs:ChangeMessageVisibility")
            )
            await run.inngest.up()
            await run.until_empty(relay)
    await run.run(FUNCTION, "doctor", expected=1)


async def inspect(run: Exercise) -> None:
    """All that only reads."""
    await run.run(INSTANCE, "doctor", expected=1)
    await run.run(OPERATOR, "config")
    await run.run(OPERATOR, "status", "--once", RELAY_QUEUE_URL="shop-events", RELAY_DLQ_URL="")
    group = ("--log-group", "/aws/elasticbeanstalk/shop/audit")
    named = ("shop/order-1", "--name", "shop/order")
    await run.run(OPERATOR, "trace", *named, *group, "--scan-dlq")
    for command in (("list",), ("stats",), ("pull", "dead.jsonl"), ("show", "shop/order-2")):
        await run.run(OPERATOR, "dlq", *command, "--wait", "0")


async def pause(run: Exercise) -> None:
    """Pause and resume, of which relays read the mark."""
    await run.run(OPERATOR, "pause", "--reason", "a test", RELAY_DLQ_URL="")
    await run.run(OPERATOR, "resume")


async def redrive(run: Exercise) -> None:
    """All that changes the dead-letter queue."""
    common = ("--wait", "0", "--yes")
    await run.run(OPERATOR, "dlq", "redrive", *common, "--name", "shop/*", "--canary", "1")
    # Delivered before, which the destination says if no ledger does.
    direct = ("--name", "machine/*", "--direct")
    await run.run(OPERATOR, "dlq", "redrive", *common, *direct, RELAY_LEDGER_TABLE="")
    await run.run(
        OPERATOR, "dlq", "drop", "--wait", "0", "--code", "*", "--confirm", "shop-events-dlq"
    )
    await run.run(OPERATOR, "dlq", "restore", "dead.jsonl", "--yes")
    moving = ("dlq", "redrive", "--native", "--allow-new-ids", "--include-failing", "--yes")
    cancelled = await run.start(OPERATOR, *moving, "--rate", "1")
    await run.recorder.until(lambda: run.recorder.called(OPERATOR, "sqs:ListMessageMoveTasks"))
    cancelled.send_signal(signal.SIGINT)
    await cancelled.communicate()
    await run.run(OPERATOR, *moving)


async def dead_letters(run: Exercise) -> None:
    """Dead letters of every kind."""
    bodies = (event("shop/order", 2), event("machine/start", 1), pointer("large"), "poison")
    command = ("send", "--queue", run.dead, "--no-check", "--lines", "-")
    await run.run(SETUP, *command, stdin="\n".join(bodies))


async def record(aws: Aws, outputs: dict[str, str], directory: Path) -> dict[str, set[Call]]:
    """Run everything on Elastic Beanstalk's variables; returns the calls of each identity."""
    host = aws.options()[VARIABLES]
    async with exercise(aws, outputs, directory, "shop", host) as run:
        await serve(run)
        await poll(run)
        await dead_letters(run)
        await inspect(run)
        await pause(run)
        await redrive(run)
        return dict(run.recorder.calls)


async def record_task(aws: Aws, outputs: dict[str, str], directory: Path) -> set[Call]:
    """Run a task of the service; returns its calls."""
    host = await asyncio.to_thread(aws.task_variables)
    async with exercise(aws, outputs, directory, "store", host) as run:
        await task(run)
        return run.recorder.calls[TASK]


async def record_function(aws: Aws, outputs: dict[str, str], directory: Path) -> set[Call]:
    """Run the function; returns the calls that need its role, those of Lambda itself included."""
    created = await asyncio.to_thread(aws.function_variables)
    host = {**created, "AWS_REGION": REGION}  # Lambda itself sets the region
    async with exercise(aws, outputs, directory, "depot", host) as run:
        await function(run)
        return run.recorder.calls[FUNCTION] | run.recorder.calls[SQSD]
