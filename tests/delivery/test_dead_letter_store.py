"""The dead-letter queue in SQS: opened at its first use, and again after a failure."""

from __future__ import annotations

import asyncio
import gc
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any

import aiohttp
import pytest

from relay.aws.session import SharedSession
from relay.delivery.dead_letter_copy import DeadLetterCopy, NotStored
from relay.delivery.dead_letter_store import LIMIT_FOR, SqsDeadLetterStore
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


@dataclass
class Opened:
    """A store, its queue on a server, and the store's clock."""

    server: SqsServer
    client: Any
    url: str
    store: SqsDeadLetterStore | None = None
    now: float = 0.0

    async def set_limit(self, size: int) -> None:
        attributes = {"MaximumMessageSize": str(size)}
        await self.client.set_queue_attributes(QueueUrl=self.url, Attributes=attributes)

    async def put(self, *bodies: str) -> list[BaseException | None]:
        assert self.store is not None
        copies = [DeadLetterCopy(body=body, attributes={}, dedup_id=body[:9]) for body in bodies]
        return await asyncio.gather(*map(self.store.put, copies), return_exceptions=True)


@asynccontextmanager
async def opened(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Opened]:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    monkeypatch.setenv("AWS_REGION", "eu-west-1")
    async with SqsServer(region="eu-west-1") as server, AsyncExitStack() as stack:
        monkeypatch.setenv("AWS_ENDPOINT_URL_SQS", server.url)
        session = SharedSession(stack)
        client = await (await session()).client("sqs")
        url = (await client.create_queue(QueueName="dead"))["QueueUrl"]
        found = Opened(server, client, url)
        found.store = SqsDeadLetterStore(
            session, stack, queue=None, dead_letter_queue=url, clock=lambda: found.now
        )
        yield found


async def test_a_raised_limit_is_read_again_with_one_request(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with opened(monkeypatch) as queue:
        assert queue.store is not None
        await queue.set_limit(262_144)
        assert await queue.store.limit() == 262_144
        await queue.set_limit(1_048_576)
        assert await queue.store.limit() == 262_144
        queue.now += LIMIT_FOR
        before = queue.server.requests["GetQueueAttributes"]
        assert await asyncio.gather(*(queue.store.limit() for _ in range(9))) == [1_048_576] * 9
        assert queue.server.requests["GetQueueAttributes"] == before + 1


async def test_a_lowered_limit_is_read_again_after_a_refusal(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with opened(monkeypatch) as queue:
        assert queue.store is not None
        assert await queue.store.limit() == 1_048_576
        await queue.set_limit(262_144)
        (refused,) = await queue.put("x" * 400_000)
        assert isinstance(refused, NotStored)
        assert (refused.refused, refused.setting) == (True, None)
        assert await queue.store.limit() == 262_144


async def test_a_limit_that_cannot_be_read_stays_what_it_was(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with opened(monkeypatch) as queue:
        assert queue.store is not None
        await queue.set_limit(262_144)
        assert await queue.store.limit() == 262_144
        queue.now += LIMIT_FOR
        queue.server.faults.add(
            Fault(action="GetQueueAttributes", times=None, error="AccessDenied")
        )
        assert await queue.store.limit() == 262_144


async def test_a_batch_that_is_refused_as_a_whole_is_sent_one_by_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with opened(monkeypatch) as queue:
        refusal = "BatchRequestTooLong"
        queue.server.faults.add(Fault(action="SendMessageBatch", times=2, error=refusal))
        results = await queue.put("a", "b", "c")
        assert [isinstance(result, NotStored) for result in results].count(True) == 1
        assert len(queue.server.queues["dead"].messages()) == 2


@pytest.mark.parametrize(
    ("main", "named", "source", "refused"),
    [
        ("dead", "dead", "dead", True),
        ("{url}", "dead", "dead", True),
        ("arn:aws:sqs:eu-west-1:000000000000:dead", "{url}", "dead", True),
        ("{url}", "http://localhost:{port}/000000000000/dead", "dead", True),
        (None, "{url}", "dead", True),  # sqsd tells no more than the name
        ("other", "{url}", "dead", True),
        (None, "{url}", "main", False),
        ("arn:aws:sqs:eu-west-2:000000000000:dead", "{url}", "dead", False),
    ],
)
async def test_a_copy_never_goes_to_the_queue_of_its_message(
    monkeypatch: pytest.MonkeyPatch, main: str | None, named: str, source: str, *, refused: bool
) -> None:
    async with opened(monkeypatch) as queue, AsyncExitStack() as stack:
        port = queue.server.url.rpartition(":")[2]
        await queue.client.create_queue(QueueName="other")
        store = SqsDeadLetterStore(
            SharedSession(stack),
            stack,
            queue=main and main.format(url=queue.url, port=port),
            dead_letter_queue=named.format(url=queue.url, port=port),
        )
        copy = DeadLetterCopy(body="a", attributes={}, dedup_id="a", source=source)
        if not refused:
            await store.put(copy)
            return
        with pytest.raises(NotStored, match="again and again") as caught:
            await store.put(copy)
        assert caught.value.setting == "RELAY_DLQ_URL"
        assert queue.server.queues["dead"].messages() == ()
