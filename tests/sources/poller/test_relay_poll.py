"""`relay poll` as a process, between a real queue and a real event API."""

from __future__ import annotations

import asyncio
import json
import re
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import httpx
import pytest

from relay.local.inngest.records import Function
from relay.local.inngest.server import InngestServer
from relay.local.processes import free_port
from relay.local.sqs.faults import Fault
from relay.local.sqs.server import SqsServer
from tests.sources.poller.rig import Rig, until


@dataclass
class Road:
    sqs: SqsServer
    inngest: InngestServer

    @property
    def left(self) -> int:
        return len(self.sqs.queues["main"].messages())


@pytest.fixture
async def road(rig: Rig, aws: pytest.MonkeyPatch) -> AsyncIterator[Road]:
    """The rig's queue with a dead-letter queue behind it, and an Inngest."""
    functions = (Function(name="greet", on="user/greeted"),)
    async with InngestServer(functions=functions) as inngest:
        await rig.wire.call("CreateQueue", {"QueueName": "dead"}, "dead")
        policy = {"deadLetterTargetArn": rig.queue.arn.replace("main", "dead")}
        await rig.change(RedrivePolicy=json.dumps({**policy, "maxReceiveCount": 1000}))
        aws.setenv("AWS_ENDPOINT_URL_SQS", rig.server.url)
        aws.setenv("RELAY_QUEUE_URL", "main")
        aws.setenv("RELAY_INNGEST_URL", inngest.url)
        aws.setenv("RELAY_CONFIRM", "off")
        yield Road(rig.server, inngest)


@asynccontextmanager
async def polling() -> AsyncIterator[asyncio.subprocess.Process]:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "relay",
        "poll",
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def test_events_run_once_poison_is_dead_lettered_and_sigterm_exits_0(
    rig: Rig, road: Road
) -> None:
    events = [json.dumps({"name": "user/greeted", "data": {"n": n}}) for n in range(30)]
    await rig.send([*events, "{"])
    async with polling() as process:
        await until(lambda: road.left == 0)
        process.send_signal(signal.SIGTERM)
        # The long poll in flight ends on the queue's own clock.
        await rig.pass_time(lambda: process.returncode is not None)
        assert process.returncode == 0
    (dead,) = road.sqs.queues["dead"].messages()
    assert dead.body == "{"
    await until(lambda: len(road.inngest.runs) == 30)
    assert len({run.event_id for run in road.inngest.runs}) == 30


async def test_a_missing_queue_is_named_and_waited_for(
    rig: Rig, road: Road, aws: pytest.MonkeyPatch
) -> None:
    aws.setenv("RELAY_QUEUE_URL", "nowhere")
    async with polling() as process:
        assert process.stdout is not None
        async with asyncio.timeout(20):
            told = ""
            while "halted" not in told:
                told = (await process.stdout.readline()).decode()
        assert "nowhere" in told
        process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(20):
            assert await process.wait() == 0


@pytest.mark.parametrize("action", ["GetQueueAttributes", "ReceiveMessage"])
async def test_a_permission_that_is_missing_shows_in_ready_and_in_the_metric(
    road: Road, aws: pytest.MonkeyPatch, action: str
) -> None:
    denied = Fault(action=action, error="AccessDeniedException", status=400, times=None)
    road.sqs.faults.add(denied)
    aws.setenv("PORT", str(port := free_port()))
    aws.setenv("RELAY_METRICS", "prometheus")
    client = httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", trust_env=False)
    async with client, polling():
        async with asyncio.timeout(20):
            while not (told := await _ready(client)).get("halted"):  # noqa: ASYNC110 - over HTTP
                await asyncio.sleep(0.05)
        metrics = (await client.get("/metrics")).text
    assert not told["ready"]
    assert told["receiving"] == "halted"
    assert f"sqs:{action}" in told["reason"]
    assert re.search(r"^relay_halted\{.*\} 1", metrics, re.MULTILINE)


async def _ready(client: httpx.AsyncClient) -> dict[str, Any]:
    try:
        told: dict[str, Any] = (await client.get("/ready")).json()
    except httpx.ConnectError:
        return {}
    return told


async def test_without_a_queue_the_setting_is_named(aws: pytest.MonkeyPatch) -> None:
    aws.setenv("RELAY_INNGEST_URL", "http://127.0.0.1:9")
    aws.setenv("RELAY_CONFIRM", "off")
    aws.delenv("RELAY_QUEUE_URL", raising=False)
    async with polling() as process:
        _, told = await process.communicate()
    assert process.returncode == 2
    assert b"RELAY_QUEUE_URL" in told
