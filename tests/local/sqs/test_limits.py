"""Limits and pauses, as on AWS and as a test sets them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import pytest

from relay.local.clock import ManualClock
from relay.local.sqs import Limits, SqsServer

from .conftest import Refused, Sqs


@asynccontextmanager
async def limited(limits: Limits) -> AsyncIterator[Sqs]:
    clock = ManualClock()
    async with (
        SqsServer(clock=clock, limits=limits) as server,
        httpx.AsyncClient(base_url=server.url, verify=False) as http,
    ):
        yield Sqs(server, clock, http)


async def test_too_many_in_flight_is_an_error_or_on_fifo_an_empty_receive() -> None:
    async with limited(Limits(in_flight=2)) as sqs:
        await sqs.queue()
        await sqs.send("1", "2", "3")
        assert len(await sqs.receive()) == 2
        with pytest.raises(Refused) as refused:
            await sqs.receive()
        assert (refused.value.code, refused.value.status) == ("OverLimit", 403)
        await sqs.queue("q.fifo", FifoQueue="true", ContentBasedDeduplication="true")
        await sqs.send("1", "2", "3", queue="q.fifo", MessageGroupId="g")
        assert len(await sqs.receive("q.fifo")) == 2
        assert await sqs.receive("q.fifo") == []


async def test_a_purge_is_allowed_again_after_a_minute(sqs: Sqs) -> None:
    await sqs.queue()
    await sqs.call("PurgeQueue", QueueUrl="q")
    with pytest.raises(Refused) as refused:
        await sqs.call("PurgeQueue", QueueUrl="q")
    assert refused.value.header == "AWS.SimpleQueueService.PurgeQueueInProgress;Sender"
    sqs.clock.advance(60)
    await sqs.call("PurgeQueue", QueueUrl="q")


async def test_purges_need_no_pause_where_that_is_wanted() -> None:
    async with limited(Limits(purge_pause=0)) as sqs:
        queue = await sqs.queue()
        for _ in range(2):
            await sqs.send("x")
            await sqs.call("PurgeQueue", QueueUrl="q")
            assert queue.messages() == ()


async def test_the_name_of_a_deleted_queue_is_free_at_once_unless_a_pause_is_wanted(
    sqs: Sqs,
) -> None:
    await sqs.queue()
    await sqs.call("DeleteQueue", QueueUrl="q")
    await sqs.queue()
    async with limited(Limits(recreate_pause=60)) as strict:
        await strict.queue()
        await strict.call("DeleteQueue", QueueUrl="q")
        for _ in range(2):
            with pytest.raises(Refused) as refused:
                await strict.queue()
            assert refused.value.header == "AWS.SimpleQueueService.QueueDeletedRecently;Sender"
            strict.clock.advance(30)
        await strict.queue()
