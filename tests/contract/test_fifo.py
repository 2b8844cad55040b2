"""FIFO queues: order, group locks, deduplication."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError  # type: ignore[import-untyped] # it ships no types

from .conftest import Sqs


def send(sqs: Sqs, queue: str, body: str, group: str, dedup: str) -> dict[str, Any]:
    sent: dict[str, Any] = sqs.client.send_message(
        QueueUrl=queue, MessageBody=body, MessageGroupId=group, MessageDeduplicationId=dedup
    )
    return sent


def delete(sqs: Sqs, queue: str, message: dict[str, Any]) -> None:
    sqs.client.delete_message(QueueUrl=queue, ReceiptHandle=message["ReceiptHandle"])


def test_a_group_keeps_its_order(sqs: Sqs, unique: Callable[[], str]) -> None:
    queue = sqs.fifo()
    sent = [send(sqs, queue, str(n), "g", unique()) for n in range(5)]
    got = sqs.receive(queue)
    assert [message["Body"] for message in got] == ["0", "1", "2", "3", "4"]
    assert [message["MessageId"] for message in got] == [one["MessageId"] for one in sent]
    assert {message["Attributes"]["MessageGroupId"] for message in got} == {"g"}


@pytest.mark.differs(moto="draws a new random sequence number at each read")
def test_sequence_numbers_increase(sqs: Sqs, unique: Callable[[], str]) -> None:
    queue = sqs.fifo()
    sent = [int(send(sqs, queue, "x", "g", unique())["SequenceNumber"]) for _ in range(5)]
    got = [int(message["Attributes"]["SequenceNumber"]) for message in sqs.receive(queue)]
    assert got == sent == sorted(sent)


def test_a_group_is_locked_while_one_of_its_messages_is_in_flight(
    sqs: Sqs, unique: Callable[[], str]
) -> None:
    queue = sqs.fifo()
    for body, group in (("a1", "a"), ("a2", "a"), ("b1", "b")):
        send(sqs, queue, body, group, unique())
    [first] = sqs.receive(queue, count=1)
    [other] = sqs.receive(queue)
    assert (first["Body"], other["Body"]) == ("a1", "b1")
    delete(sqs, queue, first)
    [second] = sqs.receive(queue)
    assert second["Body"] == "a2"


def test_a_released_message_is_the_first_of_its_group_again(
    sqs: Sqs, unique: Callable[[], str]
) -> None:
    queue = sqs.fifo()
    for body in ("1", "2"):
        send(sqs, queue, body, "g", unique())
    [first] = sqs.receive(queue, count=1)
    sqs.client.change_message_visibility(
        QueueUrl=queue, ReceiptHandle=first["ReceiptHandle"], VisibilityTimeout=0
    )
    again = sqs.receive(queue, WaitTimeSeconds=2)
    assert [message["Body"] for message in again] == ["1", "2"]


def test_a_repeated_send_is_dropped(sqs: Sqs, unique: Callable[[], str]) -> None:
    queue, dedup = sqs.fifo(), unique()
    send(sqs, queue, "x", "g", dedup)
    send(sqs, queue, "x", "g", dedup)
    [message] = sqs.receive(queue)
    assert message["Attributes"]["MessageDeduplicationId"] == dedup


@pytest.mark.differs(moto="forgets what was sent once it is deleted")
def test_a_repeated_send_is_dropped_after_the_first_message_is_deleted(
    sqs: Sqs, unique: Callable[[], str]
) -> None:
    queue, dedup = sqs.fifo(), unique()
    send(sqs, queue, "x", "g", dedup)
    delete(sqs, queue, sqs.receive(queue)[0])
    send(sqs, queue, "x", "g", dedup)
    assert sqs.receive(queue) == []


def test_equal_bodies_are_one_message_with_content_based_deduplication(sqs: Sqs) -> None:
    queue = sqs.fifo(ContentBasedDeduplication="true")
    for body in ("x", "x", "y"):
        sqs.client.send_message(QueueUrl=queue, MessageBody=body, MessageGroupId="g")
    assert [message["Body"] for message in sqs.receive(queue)] == ["x", "y"]


def test_a_group_and_a_deduplication_id_are_required(sqs: Sqs) -> None:
    queue = sqs.fifo()
    with pytest.raises(ClientError) as caught:
        sqs.client.send_message(QueueUrl=queue, MessageBody="x", MessageDeduplicationId="d")
    assert caught.value.response["Error"]["Code"] == "MissingParameter"
    with pytest.raises(ClientError) as caught:
        sqs.client.send_message(QueueUrl=queue, MessageBody="x", MessageGroupId="g")
    assert caught.value.response["Error"]["Code"] == "InvalidParameterValue"


def test_a_delay_for_a_single_message_is_refused(sqs: Sqs, unique: Callable[[], str]) -> None:
    queue = sqs.fifo()
    with pytest.raises(ClientError) as caught:
        sqs.client.send_message(
            QueueUrl=queue,
            MessageBody="x",
            MessageGroupId="g",
            MessageDeduplicationId=unique(),
            DelaySeconds=1,
        )
    assert caught.value.response["Error"]["Code"] == "InvalidParameterValue"
