"""`relay poll` as a process, with a dead-letter queue that is too small or the queue itself."""

from __future__ import annotations

import asyncio
import json
import os
import re

import httpx
import pytest

from relay.local.processes import free_port
from tests.sources.poller.rig import Rig
from tests.sources.poller.test_relay_poll import Servers, _ready, polling, servers

__all__ = ["servers"]  # the fixture of the other module

POISON = os.urandom(200_000).hex()
"""400 KB that are not JSON and do not fit into 256 KiB when compressed."""


@pytest.mark.parametrize(
    "dlq",
    ["main", "{url}/", "arn:aws:sqs:us-east-1:000000000000:main", "http://sqs.internal:9/{path}"],
)
async def test_the_queue_is_not_its_own_dead_letter_queue(
    rig: Rig, servers: Servers, aws: pytest.MonkeyPatch, dlq: str
) -> None:
    path = rig.queue.url.split("/", 3)[3]
    aws.setenv("RELAY_QUEUE_URL", rig.queue.url)
    aws.setenv("RELAY_DLQ_URL", dlq.format(url=rig.queue.url, path=path))
    await rig.send(["{"])
    async with polling() as process, asyncio.timeout(20):
        _, errors = await process.communicate()
    assert process.returncode == 2
    assert errors.startswith(b"relay: RELAY_DLQ_URL is the queue of RELAY_QUEUE_URL")
    assert servers.sqs.requests["ReceiveMessage"] == 0


async def test_what_does_not_fit_waits_in_the_queue_and_is_reported(
    rig: Rig, servers: Servers, aws: pytest.MonkeyPatch
) -> None:
    dead = {"QueueUrl": rig.queue.url.replace("main", "dead")}
    small = {"MaximumMessageSize": "262144"}
    await rig.wire.call("SetQueueAttributes", {**dead, "Attributes": small}, "dead")
    aws.setenv("PORT", str(port := free_port()))
    aws.setenv("RELAY_METRICS", "prometheus")
    good = json.dumps({"name": "user/greeted", "data": {}})
    await rig.send([POISON])
    await rig.send([good, "{"])
    client = httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", trust_env=False)
    async with client, polling() as process, asyncio.timeout(30):
        while not (ready := await _ready(client)).get("warnings") or servers.left > 1:  # noqa: ASYNC110 - over HTTP
            await asyncio.sleep(0.05)
        metrics = (await client.get("/metrics")).text
        assert process.stdout is not None
        line = b""
        while b"cannot be dead-lettered yet" not in line:
            line = await process.stdout.readline()
    assert ready["ready"]
    (warning,) = ready["warnings"]
    assert warning.startswith("1 message is too large for the dead-letter queue")
    assert "RELAY_DEAD_LETTER_BUCKET" in warning
    assert b"ERROR" in line
    assert re.search(r"^relay_dead_letters_too_large_total\{.*\} 1", metrics, re.MULTILINE)
    assert [stored.body for stored in servers.sqs.queues["main"].messages()] == [POISON]
    assert [stored.body for stored in servers.sqs.queues["dead"].messages()] == ["{"]
