"""`relay serve` and `relay poll` as processes, with an Inngest that accepts and stores nothing."""

from __future__ import annotations

import asyncio
import os
import re
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from relay.local.inngest.faults import Fault, Rule
from relay.local.inngest.server import InngestServer
from relay.local.processes import free_port
from relay.local.sqs.server import SqsServer

EVENT = '{"name": "user/greeted", "data": {}}'
QUICK = {
    "RELAY_REQUEST_TIMEOUT": "1",
    "RELAY_CONFIRM_DEADLINE": "0.5",
    "RELAY_STUCK_AFTER": "2",
    "RELAY_METRICS": "prometheus",
}


@asynccontextmanager
async def relay(
    mode: str, url: str, queue: SqsServer, log: Path, **more: str
) -> AsyncIterator[str]:
    """The address of a relay in this mode; `more` are variables of its environment."""
    port = free_port()
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("AWS_", "RELAY_"))} | {
        "AWS_ENDPOINT_URL": queue.url,
        "AWS_REGION": "us-east-1",
        "AWS_ACCESS_KEY_ID": "local",
        "AWS_SECRET_ACCESS_KEY": "local",
        "RELAY_QUEUE_URL": "main",
        "RELAY_INNGEST_URL": url,
        "RELAY_LOG_FILE": str(log),
        "PORT": str(port),
        **QUICK,
        **more,
    }
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "relay", mode, env=environment, stdout=asyncio.subprocess.DEVNULL
    )
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        process.kill()
        await process.wait()


async def post_as_sqsd(client: httpx.AsyncClient, number: int) -> None:
    """Post the message again after each 503, as the daemon does."""
    headers = {"x-aws-sqsd-msgid": f"m-{number}", "x-aws-sqsd-queue": "main"}
    while (await client.post("/", content=EVENT, headers=headers)).status_code != 200:  # noqa: ASYNC110 - over HTTP
        await asyncio.sleep(0.1)


async def send(client: httpx.AsyncClient, queue: SqsServer) -> None:
    """Send the message to the queue."""
    headers = {
        "x-amz-target": "AmazonSQS.SendMessage",
        "content-type": "application/x-amz-json-1.0",
    }
    body = {"QueueUrl": f"{queue.url}/000000000000/main", "MessageBody": EVENT}
    (await client.post(queue.url, json=body, headers=headers)).raise_for_status()


async def until(client: httpx.AsyncClient, **expected: Any) -> dict[str, Any]:
    """The first answer of `/ready` with these fields."""
    async with asyncio.timeout(30):
        while True:
            try:
                answer = await client.get("/ready")
            except httpx.ConnectError:
                answer = None
            found: dict[str, Any] = answer.json() if answer else {}
            if expected.items() <= found.items():
                return found | {"status": answer.status_code if answer else 0}
            await asyncio.sleep(0.05)


@pytest.mark.parametrize("mode", ["serve", "poll"])
async def test_a_relay_that_confirms_nothing_is_not_ready_and_says_why(
    mode: str, tmp_path: Path
) -> None:
    async with AsyncExitStack() as stack:
        inngest = await stack.enter_async_context(InngestServer())
        queue = await stack.enter_async_context(SqsServer(region="us-east-1"))
        queue.account.create("main", {}, {})
        inngest.script.add(Rule(fault=Fault(forget=True), times=None))
        url = await stack.enter_async_context(relay(mode, inngest.url, queue, tmp_path / "log"))
        client = httpx.AsyncClient(base_url=url, trust_env=False, timeout=30)
        await stack.enter_async_context(client)
        await until(client, ready=True) if mode == "serve" else None
        tasks = await stack.enter_async_context(asyncio.TaskGroup())
        for number in range(3):
            if mode == "serve":
                tasks.create_task(post_as_sqsd(client, number))
            else:
                await send(client, queue)
        found = await until(client, stuck=True)
        metrics = (await client.get("/metrics")).text
        inngest.script.clear()
        again = await until(client, ready=True, stuck=False)
    assert (found["status"], found["ready"], found["circuit"]) == (503, False, "closed")
    assert found["setting"] == "RELAY_CONFIRM"
    assert "accepted, but not" in found["reason"]
    assert re.search(r"^relay_stuck\{.*\} 1", metrics, re.MULTILINE)
    assert again["status"] == 200
