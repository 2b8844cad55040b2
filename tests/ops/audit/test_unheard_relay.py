"""`relay poll` as a process reports delivered names that no function listens to."""

from __future__ import annotations

import asyncio
import json
import time
from pathlib import Path

import httpx

from relay.local.inngest import Function, InngestServer
from relay.local.sqs import SqsServer
from relay.local.sqs.parameters import Draft
from relay.local.sqs.validation import accept
from tests.sources.test_stuck_relay import relay

FUNCTION = Function(name="greets", on="user/greeted")


def send(sqs: SqsServer, name: str) -> None:
    queue = sqs.queues["main"]
    draft = Draft(message_body=json.dumps({"name": name}))
    queue.add(accept(draft, queue.attributes, time.time()))


async def gauge(client: httpx.AsyncClient) -> float | None:
    """The value of the metric, None while nothing answers."""
    try:
        text = (await client.get("/metrics")).text
    except httpx.TransportError:
        return None
    lines = [line for line in text.splitlines() if line.startswith("relay_unheard{")]
    return float(lines[0].rpartition(" ")[2]) if lines else None


async def until(client: httpx.AsyncClient, value: float) -> None:
    async with asyncio.timeout(30):
        while await gauge(client) != value:  # noqa: ASYNC110 - over HTTP
            await asyncio.sleep(0.05)


async def test_the_metric_rises_with_a_misspelt_name_and_falls_once_it_is_heard(
    tmp_path: Path,
) -> None:
    log = tmp_path / "relay.log"
    async with InngestServer(functions=[FUNCTION]) as server, SqsServer() as sqs:
        sqs.account.create("dead", {}, {})
        policy = {"deadLetterTargetArn": sqs.queues["dead"].arn, "maxReceiveCount": 1000}
        sqs.account.create("main", {"RedrivePolicy": json.dumps(policy)}, {})
        running = relay("poll", server.url, sqs, log, RELAY_UNHEARD_EVERY="0.2")
        async with running as url, httpx.AsyncClient(base_url=url, trust_env=False) as client:
            await until(client, 0.0)
            send(sqs, "user/greetd")
            await until(client, 1.0)
            server.functions.append(Function(name="misspelt", on="user/greetd"))
            await until(client, 0.0)
    assert "the nearest name that one does is user/greeted" in log.read_text()
