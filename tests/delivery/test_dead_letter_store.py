"""The dead-letter queue in SQS: opened at its first use, and again after a failure."""

from __future__ import annotations

import gc
import json
from contextlib import AsyncExitStack

import aiohttp
import pytest

from relay.aws.session import SharedSession
from relay.delivery.dead_letter_store import SqsDeadLetterStore
from relay.delivery.dead_lettering import DeadLetterCopy, NotStored
from relay.local.sqs import Fault, SqsServer


def _open() -> int:
    found = (one for one in gc.get_objects() if isinstance(one, aiohttp.ClientSession))
    return sum(not one.closed for one in found)


async def test_a_queue_that_is_not_found_leaves_nothing_open(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    monkeypatch.setenv("AWS_REGION", "eu-west-1")
    async with SqsServer(region="eu-west-1") as server, AsyncExitStack() as stack:
        monkeypatch.setenv("AWS_ENDPOINT_URL_SQS", server.url)
        session = SharedSession(stack)
        client = await (await session()).client("sqs")
        url = (await client.create_queue(QueueName="dead"))["QueueUrl"]
        server.faults.add(Fault(action="GetQueueAttributes", times=5, error="AccessDenied"))
        store = SqsDeadLetterStore(session, stack, queue=None, dead_letter_queue=url)
        before = _open()
        for _ in range(5):
            with pytest.raises(NotStored, match="sqs:GetQueueAttributes"):
                await store.limit()
        assert _open() == before
        assert await store.limit() == 1_048_576


async def test_a_queue_that_replaced_it_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    monkeypatch.setenv("AWS_REGION", "eu-west-1")
    async with SqsServer(region="eu-west-1") as server, AsyncExitStack() as stack:
        monkeypatch.setenv("AWS_ENDPOINT_URL_SQS", server.url)
        session = SharedSession(stack)
        client = await (await session()).client("sqs")
        main = (await client.create_queue(QueueName="main"))["QueueUrl"]

        async def point_to(name: str) -> str:
            url: str = (await client.create_queue(QueueName=name))["QueueUrl"]
            arn = f"arn:aws:sqs:eu-west-1:000000000000:{name}"
            policy = json.dumps({"deadLetterTargetArn": arn, "maxReceiveCount": 1000})
            await client.set_queue_attributes(QueueUrl=main, Attributes={"RedrivePolicy": policy})
            return url

        store = SqsDeadLetterStore(session, stack, queue=main, dead_letter_queue=None)
        first = await point_to("first")
        await store.put(DeadLetterCopy(body="a", attributes={}, dedup_id="a"))
        await point_to("second")
        await client.delete_queue(QueueUrl=first)
        with pytest.raises(NotStored) as caught:
            await store.put(DeadLetterCopy(body="b", attributes={}, dedup_id="b"))
        assert caught.value.setting == "RELAY_DLQ_URL"
        await store.put(DeadLetterCopy(body="b", attributes={}, dedup_id="b"))
        assert [one.body for one in server.queues["second"].messages()] == ["b"]
