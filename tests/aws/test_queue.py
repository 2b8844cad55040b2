"""The queue client against the embedded SQS server and against moto."""

from __future__ import annotations

import asyncio
import json
import uuid
from collections.abc import AsyncIterator

import pytest

from relay.aws.errors import AwsError
from relay.aws.session import Session, open_session
from relay.aws.sqs import Queue, open_queue
from relay.aws.sqs_values import Failed, Outgoing, RedrivePolicy, Sent
from relay.local.sqs.server import SqsServer
from relay.model.message import Attribute


@pytest.fixture(params=["embedded", "moto"])
async def session(
    request: pytest.FixtureRequest, moto: str, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Session]:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    monkeypatch.setenv("AWS_REGION", "eu-west-1")
    monkeypatch.delenv("AWS_PROFILE", raising=False)
    async with SqsServer(region="eu-west-1") as server, open_session() as session:
        url = server.url if request.param == "embedded" else moto
        monkeypatch.setenv("AWS_ENDPOINT_URL_SQS", url)
        yield session


async def create(session: Session, suffix: str = "", **attributes: str) -> str:
    client = await session.client("sqs")
    name = f"q-{uuid.uuid4().hex}{suffix}"
    await client.create_queue(QueueName=name, Attributes=attributes)
    return name


@pytest.fixture
async def queue(session: Session) -> AsyncIterator[Queue]:
    async with open_queue(session, await create(session, VisibilityTimeout="45")) as queue:
        yield queue


async def test_a_message_is_received_as_it_was_sent(queue: Queue) -> None:
    attributes = {
        "text": Attribute("String", "grüße"),
        "number": Attribute("Number.int", "42"),
        "blob": Attribute("Binary.png", b"\x00\xff"),
    }
    (sent,) = await queue.send([Outgoing(body='{"ä": "🙂"}', attributes=attributes)])
    assert isinstance(sent, Sent)
    (received,) = await queue.receive(wait=1)
    message = received.message
    assert (message.body, message.message_id) == ('{"ä": "🙂"}'.encode(), sent.message_id)
    assert message.attributes == attributes
    assert (message.queue, message.receive_count) == (queue.name, 1)
    assert message.sent_at is not None
    assert message.first_received_at is not None
    assert await queue.delete([received.handle]) == [None]
    assert await queue.receive(wait=0) == []


async def test_messages_are_split_into_batches_and_each_has_its_result(
    queue: Queue,
) -> None:
    results = await queue.send([Outgoing(body=f"m{i}") for i in range(23)])
    assert all(isinstance(result, Sent) for result in results)
    handles: list[str] = []
    while batch := await queue.receive(wait=0):
        handles += [received.handle for received in batch]
    assert len(handles) == 23
    assert await queue.change_visibility([(handle, 30.0) for handle in handles]) == [None] * 23
    refused = await queue.delete([*handles[:12], "no handle", *handles[12:]])
    assert isinstance(refused[12], Failed)
    assert refused[12].permanent
    assert refused[:12] + refused[13:] == [None] * 23


async def test_batches_are_split_by_bytes_too(queue: Queue) -> None:
    results = await queue.send([Outgoing(body="x" * 400_000) for _ in range(5)])
    assert all(isinstance(result, Sent) for result in results)


async def test_visibility_0_makes_a_message_visible_at_once(queue: Queue) -> None:
    await queue.send([Outgoing(body="m")])
    (first,) = await queue.receive(wait=1, visibility=60)
    assert await queue.receive(wait=0) == []
    assert await queue.change_visibility([(first.handle, 0)]) == [None]
    (again,) = await queue.receive(wait=1)
    assert again.message.receive_count == 2


async def test_the_attributes_of_a_queue_are_read(session: Session) -> None:
    async with open_queue(session, await create(session)) as dead:
        policy = json.dumps({"deadLetterTargetArn": dead.arn, "maxReceiveCount": 7})
        name = await create(
            session, VisibilityTimeout="45", MessageRetentionPeriod="600", RedrivePolicy=policy
        )
        async with open_queue(session, name) as queue:
            found = await queue.attributes()
            assert (found.visibility, found.retention, found.fifo) == (45, 600, False)
            assert found.redrive == RedrivePolicy(dead.arn, 7)
            assert found.arn == queue.arn


async def test_a_fifo_queue_keeps_group_and_deduplication(session: Session) -> None:
    async with open_queue(session, await create(session, ".fifo", FifoQueue="true")) as queue:
        assert queue.fifo
        await queue.send([Outgoing(body="m", group_id="g", dedup_id="d")])
        (received,) = await queue.receive(wait=1, attempt_id="one")
        assert (received.message.group_id, received.message.dedup_id) == ("g", "d")
        assert received.message.sequence_number is not None


async def test_a_queue_is_found_by_name_url_and_arn(session: Session) -> None:
    name = await create(session)
    async with open_queue(session, name) as by_name:
        for reference in (by_name.url, by_name.arn):
            async with open_queue(session, reference) as queue:
                assert (queue.url, queue.arn, queue.name) == (by_name.url, by_name.arn, name)


async def test_a_queue_that_does_not_exist_is_missing(session: Session) -> None:
    with pytest.raises(AwsError, match="sqs:GetQueueUrl on nowhere") as caught:
        async with open_queue(session, "nowhere"):
            pass
    assert (caught.value.kind, caught.value.transient) == ("missing", False)
    name = await create(session)
    async with open_queue(session, name) as queue:
        client = await session.client("sqs")
        await client.delete_queue(QueueUrl=queue.url)
        with pytest.raises(AwsError) as caught:
            await queue.receive(wait=0)
        assert caught.value.kind == "missing"


async def test_a_long_poll_ends_when_a_message_comes(queue: Queue) -> None:
    receiving = asyncio.create_task(queue.receive(wait=20))
    await queue.send([Outgoing(body="m")])
    assert len(await receiving) == 1
