"""The same commands on an independent SQS implementation, as far as it supports them."""

import json
from typing import Any

import boto3  # type: ignore[import-untyped]  # it ships no types
import pytest

from relay.model.origin import ATTRIBUTE, Origin
from tests.dlq.conftest import QUICK, Relay
from tests.dlq.queues import event

REGION = "eu-north-1"
"""Used by this file only: moto's queues outlive its servers."""


@pytest.fixture
def sqs(moto: str, environ: dict[str, str]) -> Any:
    """A client of moto's server with the queues `main` and `dead`."""
    environ["AWS_ENDPOINT_URL"] = moto
    environ["RELAY_QUEUE_URL"] = "main"
    environ["AWS_REGION"] = REGION
    client = boto3.client(
        "sqs",
        endpoint_url=environ["AWS_ENDPOINT_URL"],
        region_name=REGION,
        aws_access_key_id="test",
        aws_secret_access_key="test",
    )
    dead = client.create_queue(QueueName="dead")["QueueUrl"]
    attributes = client.get_queue_attributes(QueueUrl=dead, AttributeNames=["QueueArn"])
    policy = {"deadLetterTargetArn": attributes["Attributes"]["QueueArn"], "maxReceiveCount": 1}
    client.create_queue(QueueName="main", Attributes={"RedrivePolicy": json.dumps(policy)})
    return client


def url(sqs: Any, name: str) -> str:
    return str(sqs.get_queue_url(QueueName=name)["QueueUrl"])


def received(sqs: Any, name: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    while some := sqs.receive_message(
        QueueUrl=url(sqs, name), MaxNumberOfMessages=10, MessageAttributeNames=["All"]
    ).get("Messages"):
        found += some
    return found


async def test_dead_letters_are_pulled_dropped_restored_and_redriven(
    relay: Relay, sqs: Any
) -> None:
    for i in range(12):
        origin = Origin(id=f"id-{i}", hops=1, source="main", code="fails_alone", reason="no")
        sqs.send_message(
            QueueUrl=url(sqs, "dead"),
            MessageBody=event(i),
            MessageAttributes={
                ATTRIBUTE: {"DataType": "String", "StringValue": origin.pack()},
                "raw": {"DataType": "Binary", "BinaryValue": b"\x00\xff"},
            },
        )
    assert (await relay("dlq", "pull", "now.jsonl.gz", *QUICK)).code == 0
    words = ("--where", "data.number < `2`", *QUICK, "--confirm", "dead", "--journal", "run")
    assert (await relay("dlq", "drop", *words)).code == 0
    assert (await relay("dlq", "restore", "run/backup.jsonl", "--yes")).code == 0
    ended = await relay("dlq", "redrive", "--yes", *QUICK)
    assert ended.code == 0, ended
    messages = received(sqs, "main")
    assert sorted(m["Body"] for m in messages) == sorted(event(i) for i in range(12))
    assert {m["MessageAttributes"]["raw"]["BinaryValue"] for m in messages} == {b"\x00\xff"}
    ids = {json.loads(m["MessageAttributes"][ATTRIBUTE]["StringValue"])["id"] for m in messages}
    assert ids == {f"id-{i}" for i in range(12)}
    assert received(sqs, "dead") == []
