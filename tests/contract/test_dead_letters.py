"""Redrive policies and message move tasks."""

from __future__ import annotations

import json

import pytest
from botocore.exceptions import ClientError  # type: ignore[import-untyped] # it ships no types

from .conftest import Sqs


def pair(sqs: Sqs, count: int, *, fifo: bool = False) -> tuple[str, str]:
    make = sqs.fifo if fifo else sqs.queue
    dead = make()
    policy = {"deadLetterTargetArn": sqs.attribute(dead, "QueueArn"), "maxReceiveCount": count}
    return make(RedrivePolicy=json.dumps(policy)), dead


def test_a_message_moves_at_the_receive_after_the_last_allowed_one(sqs: Sqs) -> None:
    queue, dead = pair(sqs, 2)
    attributes = {"a": {"DataType": "String", "StringValue": "v"}}
    sent = sqs.client.send_message(QueueUrl=queue, MessageBody="x", MessageAttributes=attributes)
    received = [sqs.receive(queue, VisibilityTimeout=0, WaitTimeSeconds=1)[0] for _ in range(2)]
    assert sqs.receive(dead) == []
    assert sqs.receive(queue) == []
    [moved] = sqs.receive(dead)
    assert moved["MessageId"] == sent["MessageId"]
    assert (moved["Body"], moved["MessageAttributes"]) == ("x", attributes)
    assert moved["Attributes"]["ApproximateReceiveCount"] == "3"
    assert moved["Attributes"]["SentTimestamp"] == received[0]["Attributes"]["SentTimestamp"]


@pytest.mark.differs(moto="does not report a dead letter's source queue")
def test_a_dead_letter_names_its_source(sqs: Sqs) -> None:
    queue, dead = pair(sqs, 1)
    sqs.client.send_message(QueueUrl=queue, MessageBody="x")
    sqs.receive(queue, VisibilityTimeout=0)
    sqs.receive(queue)
    [moved] = sqs.receive(dead)
    source = moved["Attributes"]["DeadLetterQueueSourceArn"]
    assert source == sqs.attribute(queue, "QueueArn")


def test_the_sources_of_a_dead_letter_queue_are_listed(sqs: Sqs) -> None:
    queue, dead = pair(sqs, 1)
    assert sqs.client.list_dead_letter_source_queues(QueueUrl=dead)["queueUrls"] == [queue]
    assert not sqs.client.list_dead_letter_source_queues(QueueUrl=queue).get("queueUrls")


@pytest.mark.differs(moto="reports the missing queue with a different code")
def test_the_dead_letter_queue_must_exist(sqs: Sqs) -> None:
    queue, dead = pair(sqs, 1)
    policy = {
        "deadLetterTargetArn": f"{sqs.attribute(dead, 'QueueArn')}-not",
        "maxReceiveCount": 1,
    }
    with pytest.raises(ClientError) as caught:
        sqs.client.set_queue_attributes(
            QueueUrl=queue, Attributes={"RedrivePolicy": json.dumps(policy)}
        )
    assert caught.value.response["Error"]["Code"] == "InvalidParameterValue"


@pytest.mark.differs(moto="stores RedriveAllowPolicy but does not return it")
def test_a_dead_letter_queue_may_refuse_sources(sqs: Sqs) -> None:
    dead = sqs.queue()
    allow = json.dumps({"redrivePermission": "denyAll"})
    sqs.client.set_queue_attributes(QueueUrl=dead, Attributes={"RedriveAllowPolicy": allow})
    assert sqs.attribute(dead, "RedriveAllowPolicy") == allow
    policy = {"deadLetterTargetArn": sqs.attribute(dead, "QueueArn"), "maxReceiveCount": 1}
    with pytest.raises(ClientError):
        sqs.queue(RedrivePolicy=json.dumps(policy))


@pytest.mark.differs(moto="has no message move tasks")
def test_a_move_task_is_started_and_listed(sqs: Sqs) -> None:
    _, dead = pair(sqs, 1)
    arn = sqs.attribute(dead, "QueueArn")
    started = sqs.client.start_message_move_task(SourceArn=arn)
    [task] = sqs.client.list_message_move_tasks(SourceArn=arn)["Results"]
    assert started["TaskHandle"]
    assert task["SourceArn"] == arn
    assert task["ApproximateNumberOfMessagesToMove"] == 0
