"""The server as a whole: SDKs, limits, `/_state`, and `python -m relay.local.sqs`."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import boto3  # type: ignore[import-untyped] # it ships no types
import httpx
import pytest
from aiobotocore.session import get_session  # type: ignore[import-untyped] # it ships no types

from relay.local.sqs import SqsServer

from .conftest import Refused, Sqs, encoded

KEYS = {"aws_access_key_id": "any", "aws_secret_access_key": "any", "region_name": "us-east-1"}
BINARY = {"b": {"DataType": "Binary", "BinaryValue": b"\x00\xff"}}


async def test_boto3_works_unchanged() -> None:
    async with SqsServer() as server:
        bodies = await asyncio.to_thread(_with_boto3, server.url)
    assert bodies == ["x"]


def _with_boto3(url: str) -> list[str]:
    queue = boto3.resource("sqs", endpoint_url=url, **KEYS).create_queue(QueueName="q")
    queue.send_message(MessageBody="x", MessageAttributes=BINARY)
    messages = queue.receive_messages(WaitTimeSeconds=1, MessageAttributeNames=["All"])
    assert messages[0].message_attributes == BINARY
    messages[0].delete()
    return [message.body for message in messages]


async def test_aiobotocore_works_unchanged() -> None:
    async with (
        SqsServer() as server,
        get_session().create_client("sqs", endpoint_url=server.url, **KEYS) as client,
    ):
        url = (await client.create_queue(QueueName="q"))["QueueUrl"]
        await client.send_message(QueueUrl=url, MessageBody="x", MessageAttributes=BINARY)
        got = await client.receive_message(QueueUrl=url, MessageAttributeNames=["All"])
        assert got["Messages"][0]["MessageAttributes"] == BINARY
        with pytest.raises(client.exceptions.QueueDoesNotExist):
            await client.get_queue_url(QueueName="absent")
        assert server.requests["ReceiveMessage"] == 1


async def test_the_aws_command_line_works_unchanged() -> None:
    async with SqsServer() as server:
        created = await _aws(server, "create-queue", "--queue-name", "q")
        url = ["--queue-url", created["QueueUrl"]]
        sent = await _aws(server, "send-message", *url, "--message-body", "x")
        assert [m.message_id for m in server.queues["q"].messages()] == [sent["MessageId"]]


async def _aws(server: SqsServer, *arguments: str) -> dict[str, str]:
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": "/nonexistent",
        "AWS_ACCESS_KEY_ID": "any",
        "AWS_SECRET_ACCESS_KEY": "any",
        "AWS_DEFAULT_REGION": "us-east-1",
    }
    process = await asyncio.create_subprocess_exec(
        str(Path(sys.executable).with_name("aws")),
        *("--endpoint-url", server.url, "--output", "json", "sqs", *arguments),
        env=environment,
        stdout=asyncio.subprocess.PIPE,
    )
    out, _ = await process.communicate()
    assert process.returncode == 0
    answer: dict[str, str] = json.loads(out)
    return answer


async def test_its_process_ends_cleanly_on_sigterm() -> None:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "relay.local.sqs", "--port", "0"),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    url = (await process.stdout.readline()).decode().strip()
    headers = {"x-amz-target": "AmazonSQS.CreateQueue"}
    async with httpx.AsyncClient(base_url=url, verify=False) as http:
        await http.post("/", json={"QueueName": "q"}, headers=headers)
        poll = asyncio.create_task(
            http.post(
                "/",
                json={"QueueUrl": "q", "WaitTimeSeconds": 20},
                headers={"x-amz-target": "AmazonSQS.ReceiveMessage"},
            )
        )
        while "ReceiveMessage" not in (await http.get("/_state")).json()["Requests"]:
            continue
        process.send_signal(signal.SIGTERM)
        _, errors = await process.communicate()
        assert (process.returncode, errors) == (0, b"")
        with pytest.raises(httpx.TransportError):
            await poll


async def test_the_state_shows_everything_without_a_receive(sqs: Sqs) -> None:
    await sqs.queue()
    attribute = {"a": {"DataType": "Binary", "BinaryValue": encoded(b"\x00")}}
    await sqs.send("in flight", MessageAttributes=attribute)
    await sqs.receive()
    await sqs.send("visible")
    await sqs.send("delayed", DelaySeconds=9)
    state = (await sqs.http.get("/_state")).json()
    [queue] = state["Queues"]
    assert queue["QueueName"] == "q"
    seen = {message["Body"]: message for message in queue["Messages"]}
    assert {body: message["State"] for body, message in seen.items()} == {
        "in flight": "in_flight",
        "visible": "visible",
        "delayed": "delayed",
    }
    assert seen["in flight"]["MessageAttributes"] == attribute
    assert seen["in flight"]["Attributes"]["ApproximateReceiveCount"] == "1"
    assert seen["delayed"]["VisibleAt"] == sqs.clock.time() + 9
    assert state["Requests"]["SendMessage"] == 3


async def test_queue_urls_have_the_host_that_the_client_used(sqs: Sqs) -> None:
    dead = await sqs.queue("dead")
    policy = {"deadLetterTargetArn": dead.arn, "maxReceiveCount": 1}
    await sqs.queue(RedrivePolicy=json.dumps(policy))
    sqs.http.headers["host"] = "sqs.internal:9324"
    url = "http://sqs.internal:9324/000000000000/q"
    assert await sqs.call("GetQueueUrl", QueueName="q") == {"QueueUrl": url}
    assert await sqs.call("CreateQueue", QueueName="q") == {"QueueUrl": url}
    assert await sqs.call("ListQueues", QueueNamePrefix="q") == {"QueueUrls": [url]}
    sources = await sqs.call("ListDeadLetterSourceQueues", QueueUrl="dead")
    assert sources == {"queueUrls": [url]}


@pytest.mark.parametrize("url", ["http://other:1/123456789012/q", "123456789012/q", "q"])
async def test_host_and_account_of_a_queue_url_are_ignored(sqs: Sqs, url: str) -> None:
    queue = await sqs.queue()
    await sqs.send("x", queue=url)
    assert len(queue.messages()) == 1


async def test_a_poll_fails_when_its_queue_is_deleted(sqs: Sqs) -> None:
    await sqs.queue()
    poll = sqs.polling()
    await sqs.clock.until_asleep()
    await sqs.call("DeleteQueue", QueueUrl="q")
    with pytest.raises(Refused) as refused:
        await poll
    assert refused.value.header == "AWS.SimpleQueueService.NonExistentQueue;Sender"


@pytest.mark.parametrize(
    ("action", "parameters", "header"),
    [
        ("Nonsense", {}, "UnknownOperationException;Sender"),
        ("SendMessage", {"QueueUrl": "q"}, "MissingParameter;Sender"),
        ("SendMessage", {"QueueUrl": "q", "MessageBody": ""}, "MissingParameter;Sender"),
        ("SendMessage", {"QueueUrl": "q", "MessageBody": 5}, "SerializationException;Sender"),
        ("DeleteMessage", {"QueueUrl": "q", "ReceiptHandle": "é"}, "ReceiptHandleIsInvalid;Sender"),
        (
            "SetQueueAttributes",
            {"QueueUrl": "q", "Attributes": {"A": "1"}},
            "InvalidAttributeName;Sender",
        ),
        (
            "CreateQueue",
            {"QueueName": "q", "Attributes": {"RedrivePolicy": "{"}},
            "InvalidParameterValue;Sender",
        ),
    ],
)
async def test_a_malformed_request_gets_the_right_error(
    sqs: Sqs, action: str, parameters: dict[str, object], header: str
) -> None:
    await sqs.queue()
    with pytest.raises(Refused) as refused:
        await sqs.call(action, **parameters)
    assert refused.value.header == header


@pytest.mark.parametrize("number", ["1", "-0.5", "1e3", "9" * 38])
async def test_valid_numbers_are_accepted(sqs: Sqs, number: str) -> None:
    await sqs.queue()
    await sqs.send("x", MessageAttributes={"n": {"DataType": "Number", "StringValue": number}})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("n", {"DataType": "Number", "StringValue": "one"}),
        ("n", {"DataType": "Number", "StringValue": "NaN"}),
        ("n", {"DataType": "Number", "StringValue": "9" * 39}),
        ("n", {"DataType": "Number", "StringValue": "1e200"}),
        ("s", {"DataType": "String", "StringValue": "\u0001"}),
        (".s", {"DataType": "String", "StringValue": "x"}),
        ("a..b", {"DataType": "String", "StringValue": "x"}),
        ("AWS.x", {"DataType": "String", "StringValue": "x"}),
        ("amazon.x", {"DataType": "String", "StringValue": "x"}),
        ("b", {"DataType": "Binary", "StringValue": "x"}),
    ],
)
async def test_invalid_attributes_are_refused(sqs: Sqs, name: str, value: dict[str, str]) -> None:
    await sqs.queue()
    with pytest.raises(Refused) as refused:
        await sqs.send("x", MessageAttributes={name: value})
    assert refused.value.header == "InvalidParameterValue;Sender"


def test_its_command_line_creates_a_queue_and_its_dead_letter_queue() -> None:
    with _started("--queue", "orders.fifo") as process:
        assert process.stdout is not None
        url = process.stdout.readline().strip()
        state = httpx.get(f"{url}/_state").json()
        process.terminate()
    assert process.returncode == 0
    main, dlq = sorted(state["Queues"], key=lambda queue: len(queue["QueueName"]))
    assert (main["QueueName"], dlq["QueueName"]) == ("orders.fifo", "orders-dlq.fifo")
    policy = json.loads(main["Attributes"]["RedrivePolicy"])
    assert policy["deadLetterTargetArn"] == dlq["Attributes"]["QueueArn"]


def test_its_command_line_refuses_a_name_that_no_queue_can_have() -> None:
    with _started("--queue", "no such name") as process:
        out, err = process.communicate()
    assert (process.returncode, out) == (2, "")
    assert "--queue" in err


def _started(*arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "relay.local.sqs", "--port", "0", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
