"""`relay poll` as a process, between local servers of SQS and Inngest."""

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
class Servers:
    sqs: SqsServer
    inngest: InngestServer

    @property
    def left(self) -> int:
        return len(self.sqs.queues["main"].messages())


@pytest.fixture
async def servers(rig: Rig, aws: pytest.MonkeyPatch) -> AsyncIterator[Servers]:
    """The rig's queue with a dead-letter queue, and an Inngest server."""
    functions = (Function(name="greet", on="user/greeted"),)
    async with InngestServer(functions=functions) as inngest:
        await rig.wire.call("CreateQueue", {"QueueName": "dead"}, "dead")
        policy = {"deadLetterTargetArn": rig.queue.arn.replace("main", "dead")}
        await rig.change(RedrivePolicy=json.dumps({**policy, "maxReceiveCount": 1000}))
        aws.setenv("AWS_ENDPOINT_URL_SQS", rig.server.url)
        aws.setenv("RELAY_QUEUE_URL", "main")
        aws.setenv("RELAY_INNGEST_URL", inngest.url)
        aws.setenv("RELAY_CONFIRM", "off")
        yield Servers(rig.server, inngest)


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
    rig: Rig, servers: Servers
) -> None:
    events = [json.dumps({"name": "user/greeted", "data": {"n": n}}) for n in range(30)]
    await rig.send([*events, "{"])
    async with polling() as process:
        await until(lambda: servers.left == 0)
        process.send_signal(signal.SIGTERM)
        # The open long poll ends on the queue's own clock.
        await rig.pass_time(lambda: process.returncode is not None)
        assert process.returncode == 0
    (dead,) = servers.sqs.queues["dead"].messages()
    assert dead.body == "{"
    await until(lambda: len(servers.inngest.runs) == 30)
    assert len({run.event_id for run in servers.inngest.runs}) == 30


async def test_a_missing_queue_is_named_and_waited_for(
    rig: Rig, servers: Servers, aws: pytest.MonkeyPatch
) -> None:
    aws.setenv("RELAY_QUEUE_URL", "nowhere")
    async with polling() as process:
        assert process.stdout is not None
        async with asyncio.timeout(20):
            line = ""
            while "halted" not in line:
                line = (await process.stdout.readline()).decode()
        assert "nowhere" in line
        process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(20):
            assert await process.wait() == 0


@pytest.mark.parametrize("action", ["GetQueueAttributes", "ReceiveMessage"])
async def test_a_permission_that_is_missing_shows_in_ready_and_in_the_metric(
    servers: Servers, aws: pytest.MonkeyPatch, action: str
) -> None:
    denied = Fault(action=action, error="AccessDeniedException", status=400, times=None)
    servers.sqs.faults.add(denied)
    aws.setenv("PORT", str(port := free_port()))
    aws.setenv("RELAY_METRICS", "prometheus")
    client = httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", trust_env=False)
    async with client, polling():
        async with asyncio.timeout(20):
            while not (ready := await _ready(client)).get("halted"):  # noqa: ASYNC110 - over HTTP
                await asyncio.sleep(0.05)
        metrics = (await client.get("/metrics")).text
    assert not ready["ready"]
    assert ready["receiving"] == "halted"
    assert f"sqs:{action}" in ready["reason"]
    assert re.search(r"^relay_halted\{.*\} 1", metrics, re.MULTILINE)


async def _ready(client: httpx.AsyncClient) -> dict[str, Any]:
    try:
        ready: dict[str, Any] = (await client.get("/ready")).json()
    except httpx.ConnectError:
        return {}
    return ready


async def test_without_a_queue_the_setting_is_named(aws: pytest.MonkeyPatch) -> None:
    aws.setenv("RELAY_INNGEST_URL", "http://127.0.0.1:9")
    aws.setenv("RELAY_CONFIRM", "off")
    aws.delenv("RELAY_QUEUE_URL", raising=False)
    async with polling() as process:
        _, errors = await process.communicate()
    assert process.returncode == 2
    assert b"RELAY_QUEUE_URL" in errors
