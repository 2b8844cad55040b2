"""Every answer of AWS is read, or is an `AwsError` of its call: nothing else is raised."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import pytest

from relay.aws.cloudwatch import oldest_message_ages, search_logs
from relay.aws.dynamodb import describe_table, open_table
from relay.aws.errors import AwsError
from relay.aws.identity import caller_identity, describe_key, try_key
from relay.aws.move_tasks import open_move_tasks
from relay.aws.session import Session, open_session
from relay.aws.sqs import Queue, open_queue
from relay.aws.sqs_values import Failed, Outgoing, ReceivedMessage, Sent
from relay.aws.step_functions import StateMachineClient
from tests.aws.test_session import UNSET, USABLE
from tests.destinations.wire import Wire, http, listening
from tests.mutations import mutations

ARN = "arn:aws:states:us-east-1:000000000000:stateMachine:m"

MESSAGE = {
    "MessageId": "m-1",
    "ReceiptHandle": "h-1",
    "Body": "{}",
    "MD5OfBody": "99914b932bd37a50b983c5e7c90ae93b",
    "Attributes": {
        "ApproximateReceiveCount": "1",
        "SentTimestamp": "1767225600000",
        "ApproximateFirstReceiveTimestamp": "1767225600000",
        "MessageGroupId": "g",
        "SequenceNumber": "1",
        "AWSTraceHeader": "Root=1",
        "DeadLetterQueueSourceArn": "arn:aws:sqs:us-east-1:0:main",
    },
    "MessageAttributes": {
        "text": {"DataType": "String", "StringValue": "x"},
        "bytes": {"DataType": "Binary", "BinaryValue": "eA=="},
    },
}
ATTRIBUTES = {
    "QueueArn": "arn:aws:sqs:us-east-1:000000000000:main",
    "VisibilityTimeout": "30",
    "MessageRetentionPeriod": "345600",
    "MaximumMessageSize": "1048576",
    "ApproximateNumberOfMessages": "3",
    "RedrivePolicy": '{"deadLetterTargetArn":"arn:aws:sqs:us-east-1:0:dead","maxReceiveCount":5}',
    "FifoQueue": "true",
    "Policy": "{}",
}
RESULTS = {
    "Successful": [{"Id": "0", "MessageId": "m-1", "SequenceNumber": "1"}],
    "Failed": [{"Id": "1", "Code": "InternalError", "Message": "no", "SenderFault": False}],
}
ITEM = {"key": {"S": "k"}, "at": {"N": "1.5"}}


@dataclass
class Aws:
    """A session, a queue and the answer that both get."""

    wire: Wire
    session: Session
    queue: Queue


@pytest.fixture
async def aws(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Aws]:
    for name in UNSET:
        monkeypatch.delenv(name, raising=False)
    for name, value in USABLE.items():
        monkeypatch.setenv(name, value)
    async with listening() as wire:
        monkeypatch.setenv("AWS_ENDPOINT_URL", wire.url)
        async with (
            open_session() as session,
            open_queue(session, f"{wire.url}/000000000000/main.fifo") as queue,
        ):
            yield Aws(wire, session, queue)


async def receive(aws: Aws) -> None:
    for one in await aws.queue.receive(wait=0):
        assert isinstance(one, ReceivedMessage)
        texts = (one.handle, one.message.message_id, one.message.group_id or "")
        assert all(isinstance(text, str) for text in texts)
        assert isinstance(one.message.body, bytes)
        assert 0 <= one.message.receive_count <= 10**15


async def attributes(aws: Aws) -> None:
    found = await aws.queue.attributes()
    assert found.maximum_size > 0
    assert 0 < found.retention <= 10**15


async def send(aws: Aws) -> None:
    for result in await aws.queue.send([Outgoing(body="a"), Outgoing(body="b")]):
        assert isinstance(result, Sent | Failed)


async def delete(aws: Aws) -> None:
    for result in await aws.queue.delete(["h-1", "h-2"]):
        assert result is None or isinstance(result, Failed)


async def change_visibility(aws: Aws) -> None:
    for result in await aws.queue.change_visibility([("h-1", 30.0), ("h-2", 0.0)]):
        assert result is None or isinstance(result, Failed)


async def tags(aws: Aws) -> None:
    found = await aws.queue.tags()
    assert all(isinstance(text, str) for pair in found.items() for text in pair)


async def sources(aws: Aws) -> None:
    assert all(isinstance(url, str) for url in await aws.queue.sources())


async def look_up(aws: Aws) -> None:
    async with open_queue(aws.session, "main"):
        pass


async def move_tasks(aws: Aws) -> None:
    async with open_move_tasks(aws.session, aws.queue) as tasks:
        await tasks.latest()


async def start_move_task(aws: Aws) -> None:
    async with open_move_tasks(aws.session, aws.queue) as tasks:
        await tasks.start("arn:aws:sqs:us-east-1:000000000000:main")


async def cancel_move_task(aws: Aws) -> None:
    async with open_move_tasks(aws.session, aws.queue) as tasks:
        await tasks.cancel("handle")


async def read_items(aws: Aws) -> None:
    async def session() -> Session:
        return aws.session

    async with open_table(session, "table", key="key") as table:
        items, unprocessed = await table.read(["k"])
    assert all(isinstance(value, str | float) for item in items for value in item.values())
    assert all("key" in item for item in items)
    assert all(isinstance(key, str) for key in unprocessed)


async def write_items(aws: Aws) -> None:
    async def session() -> Session:
        return aws.session

    async with open_table(session, "table", key="key") as table:
        assert all(isinstance(key, str) for key in await table.write([{"key": "k"}], []))


async def table(aws: Aws) -> None:
    await describe_table(aws.session, "table")


async def kms_key(aws: Aws) -> None:
    await describe_key(aws.session, "key")


async def data_key(aws: Aws) -> None:
    await try_key(aws.session, "key")


async def ages(aws: Aws) -> None:
    await oldest_message_ages(aws.session, ["main"], 1_767_225_600.0)


async def logs(aws: Aws) -> None:
    await search_logs(aws.session, "group", "word", 0.0, pages=2)


async def identity(aws: Aws) -> None:
    found = await caller_identity(aws.session)
    assert (found.error is None) == isinstance(found.arn, str)


def machine(aws: Aws) -> StateMachineClient:
    async def session() -> Session:
        return aws.session

    return StateMachineClient(session, ARN)


async def is_express(aws: Aws) -> None:
    await machine(aws).is_express()


async def start(aws: Aws) -> None:
    assert isinstance((await machine(aws).start("name", "{}")).arn, str)


async def execution(aws: Aws) -> None:
    assert isinstance((await machine(aws).look_up("name")).text, str | None)


CALLS: list[tuple[Callable[[Aws], Awaitable[None]], Any]] = [
    (receive, {"Messages": [MESSAGE]}),
    (attributes, {"Attributes": ATTRIBUTES}),
    (send, RESULTS),
    (delete, RESULTS),
    (change_visibility, RESULTS),
    (tags, {"Tags": {"relay-paused": "2026-05-04T10:00:00Z ana@laptop moving", "team": "orders"}}),
    (sources, {"queueUrls": ["http://127.0.0.1:9/000000000000/main"]}),
    (look_up, {"QueueUrl": "http://127.0.0.1:9/000000000000/main"}),
    (move_tasks, {"Results": [{"Status": "RUNNING", "TaskHandle": "t", "StartedTimestamp": 1}]}),
    (start_move_task, {"TaskHandle": "t"}),
    (cancel_move_task, {"ApproximateNumberOfMessagesMoved": 3}),
    (read_items, {"Responses": {"table": [ITEM]}, "UnprocessedKeys": {"table": {"Keys": [ITEM]}}}),
    (write_items, {"UnprocessedItems": {"table": [{"PutRequest": {"Item": ITEM}}]}}),
    (
        table,
        {
            "Table": {
                "TableArn": "arn",
                "TableStatus": "ACTIVE",
                "AttributeDefinitions": [{"AttributeName": "key", "AttributeType": "S"}],
                "KeySchema": [{"AttributeName": "key", "KeyType": "HASH"}],
            },
            "TimeToLiveDescription": {"TimeToLiveStatus": "ENABLED", "AttributeName": "expires"},
        },
    ),
    (kms_key, {"KeyMetadata": {"Arn": "arn", "KeyState": "Enabled", "KeyManager": "AWS"}}),
    (data_key, {"CiphertextBlob": "eA=="}),
    (ages, {"MetricDataResults": [{"Id": "q0", "Values": [1.0], "Timestamps": [1]}]}),
    (logs, {"events": [{"message": "a line"}], "nextToken": "t"}),
    (identity, {"Arn": "arn", "Account": "000000000000"}),
    (is_express, {"type": "EXPRESS", "stateMachineArn": ARN, "creationDate": 1}),
    (start, {"executionArn": "arn", "startDate": 1767225600.0}),
    (execution, {"executionArn": "arn", "startDate": 1767225600.0, "input": "{}"}),
]


@pytest.mark.parametrize(("call", "answer"), CALLS, ids=[call.__name__ for call, _ in CALLS])
async def test_only_an_aws_error_is_raised(
    aws: Aws, call: Callable[[Aws], Awaitable[None]], answer: Any
) -> None:
    for body in mutations(answer):
        aws.wire.answer = http(200, body)
        try:
            await call(aws)
        except AwsError:
            pass
        except Exception as error:
            raise AssertionError(f"{body[:300]!r}") from error


async def test_setting_a_tag_succeeds_without_a_body_and_reading_them_does_not(aws: Aws) -> None:
    aws.wire.answer = http(200, "")
    await aws.queue.tag("relay-paused", "x")
    await aws.queue.untag("relay-paused")
    with pytest.raises(AwsError):
        await aws.queue.tags()


async def test_nine_messages_are_received_whatever_the_tenth_is(aws: Aws) -> None:
    good = [dict(MESSAGE, MessageId=f"good-{n}", ReceiptHandle=f"h-{n}") for n in range(9)]
    for other in [{k: v for k, v in MESSAGE.items() if k != name} for name in MESSAGE][:3]:
        aws.wire.answer = http(200, json.dumps({"Messages": [*good[:4], other, *good[4:]]}))
        assert len(await aws.queue.receive(wait=0)) == 9
    entries: tuple[Any, ...] = (None, 7, "text", [], {})
    for odd in entries:
        aws.wire.answer = http(200, json.dumps({"Messages": [*good[:4], odd, *good[4:]]}))
        assert len(await aws.queue.receive(wait=0)) == 9


async def test_a_result_that_cannot_be_read_is_no_success(aws: Aws) -> None:
    for other in (None, 7, {"Id": "0"}, {"Id": "0", "MessageId": None}, {"MessageId": "m"}):
        aws.wire.answer = http(
            200, json.dumps({"Successful": [other, {"Id": "1", "MessageId": "m-2"}]})
        )
        first, second = await aws.queue.send([Outgoing(body="a"), Outgoing(body="b")])
        assert isinstance(first, Failed)
        assert second == Sent("m-2")
