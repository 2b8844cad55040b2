"""Which requests are repeated when their connection goes stale: those that do no harm twice."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from relay.aws.errors import AwsError
from relay.aws.json_protocol import open_json_client
from relay.aws.references import arn_of
from relay.aws.session import open_session
from relay.aws.sqs import Queue
from relay.aws.sqs_values import Outgoing
from relay.local.sqs.faults import Fault
from relay.local.sqs.server import SqsServer
from tests.destinations.wire import Wire, http, listening


@pytest.fixture(autouse=True)
def credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    monkeypatch.delenv("AWS_PROFILE", raising=False)


@pytest.fixture
async def server() -> AsyncIterator[SqsServer]:
    async with SqsServer() as server:
        yield server


@pytest.fixture
async def queue(server: SqsServer) -> AsyncIterator[Queue]:
    async with (
        open_session() as session,
        open_json_client(session, server.url, "us-east-1") as client,
    ):
        url = (await client.call("CreateQueue", {"QueueName": "main"}, "main"))["QueueUrl"]
        yield Queue(client, url, arn_of(url, "us-east-1"))


@pytest.mark.parametrize("fault", [Fault(refuse=True), Fault(drop=True)], ids=["before", "after"])
async def test_a_delete_goes_again_at_once(queue: Queue, server: SqsServer, fault: Fault) -> None:
    await queue.send([Outgoing(body="one")])
    (received,) = await queue.receive(1, 0, 30)
    server.faults.add(fault)
    assert await queue.delete([received.handle]) == [None]


async def test_a_send_that_may_have_been_taken_does_not_go_again(
    queue: Queue, server: SqsServer
) -> None:
    await queue.attributes()
    server.faults.add(Fault(drop=True))
    with pytest.raises(AwsError):
        await queue.send([Outgoing(body="one")])
    assert len(await queue.receive(10, 0, 30)) == 1


@pytest.mark.parametrize(("action", "repeated"), [("ReceiveMessage", True), ("SendMessage", False)])
async def test_through_a_proxy_too(
    monkeypatch: pytest.MonkeyPatch, action: str, *, repeated: bool
) -> None:
    async def hangs_up_once(
        wire: Wire, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        while True:
            await wire.read(reader)
            if len(wire.requests) == 2:
                return
            writer.write(http(200, "{}"))
            await writer.drain()

    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)
    async with listening(behave=hangs_up_once) as wire:
        monkeypatch.setenv("HTTP_PROXY", wire.url)
        async with (
            open_session() as session,
            open_json_client(session, "http://sqs.us-east-1.amazonaws.com", "us-east-1") as client,
        ):
            assert await client.call(action, {}, "main") == {}
            if repeated:
                assert await client.call(action, {}, "main") == {}
            else:
                with pytest.raises(AwsError):
                    await client.call(action, {}, "main")
    assert len(wire.requests) == 2 + repeated
