"""The dead-letter queue in SQS: found when it is needed, and again when that failed."""

from __future__ import annotations

import gc
from contextlib import AsyncExitStack

import aiohttp
import pytest

from relay.dead_letter_queue import NotStored
from relay.local.sqs import Fault, SqsServer
from relay.wiring.dead_letters import SqsDeadLetters
from relay.wiring.session import SharedSession


def _open() -> int:
    found = (one for one in gc.get_objects() if isinstance(one, aiohttp.ClientSession))
    return sum(not one.closed for one in found)


async def test_looking_for_it_in_vain_leaves_nothing_open(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    monkeypatch.setenv("AWS_REGION", "eu-west-1")
    async with SqsServer(region="eu-west-1") as server, AsyncExitStack() as stack:
        monkeypatch.setenv("AWS_ENDPOINT_URL_SQS", server.url)
        session = SharedSession(stack)
        client = await (await session()).client("sqs")
        url = (await client.create_queue(QueueName="dead"))["QueueUrl"]
        server.faults.add(Fault(action="GetQueueAttributes", times=5, error="AccessDenied"))
        letters = SqsDeadLetters(session, stack, queue=None, dead_letter_queue=url)
        before = _open()
        for _ in range(5):
            with pytest.raises(NotStored, match="sqs:GetQueueAttributes"):
                await letters.limit()
        assert _open() == before
        assert await letters.limit() == 1_048_576
