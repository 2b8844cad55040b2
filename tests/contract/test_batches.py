"""Batches: the result of each entry, and the rules for the batch as a whole."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.exceptions import ClientError  # type: ignore[import-untyped] # it ships no types

from .conftest import Sqs

SIMPLE = "AWS.SimpleQueueService."
MEGABYTE = 1_048_576


def entries(*ids: str, body: str = "x") -> list[dict[str, str]]:
    return [{"Id": identifier, "MessageBody": body} for identifier in ids]


def test_ten_messages_are_sent_received_and_deleted_in_one_batch(sqs: Sqs) -> None:
    queue = sqs.queue()
    batch = [{"Id": str(n), "MessageBody": f"body {n}"} for n in range(10)]
    sent = sqs.client.send_message_batch(QueueUrl=queue, Entries=batch)
    assert [entry["Id"] for entry in sent["Successful"]] == [str(n) for n in range(10)]
    got = sqs.receive(queue)
    assert {m["MessageId"] for m in got} == {entry["MessageId"] for entry in sent["Successful"]}
    done = sqs.client.delete_message_batch(
        QueueUrl=queue,
        Entries=[{"Id": str(n), "ReceiptHandle": m["ReceiptHandle"]} for n, m in enumerate(got)],
    )
    assert len(done["Successful"]) == 10
    assert sqs.attribute(queue, "ApproximateNumberOfMessagesNotVisible") == "0"


def test_one_bad_handle_fails_alone(sqs: Sqs) -> None:
    queue = sqs.queue()
    sqs.client.send_message(QueueUrl=queue, MessageBody="x")
    [message] = sqs.receive(queue)
    done = sqs.client.delete_message_batch(
        QueueUrl=queue,
        Entries=[
            {"Id": "bad", "ReceiptHandle": "bm9uZQ=="},
            {"Id": "good", "ReceiptHandle": message["ReceiptHandle"]},
        ],
    )
    assert [entry["Id"] for entry in done["Successful"]] == ["good"]
    [failed] = done["Failed"]
    assert (failed["Id"], failed["Code"]) == ("bad", "ReceiptHandleIsInvalid")
    assert failed["SenderFault"] is True


def test_visibility_is_changed_for_each_entry(sqs: Sqs) -> None:
    queue = sqs.queue()
    sqs.client.send_message_batch(QueueUrl=queue, Entries=entries("a", "b"))
    handles = [message["ReceiptHandle"] for message in sqs.receive(queue)]
    changed = sqs.client.change_message_visibility_batch(
        QueueUrl=queue,
        Entries=[
            {"Id": str(n), "ReceiptHandle": handle, "VisibilityTimeout": 0}
            for n, handle in enumerate(handles)
        ],
    )
    assert len(changed["Successful"]) == 2
    assert len(sqs.receive(queue, WaitTimeSeconds=2)) == 2


@pytest.mark.differs(moto="fails the whole batch, never one of its entries")
def test_one_bad_message_fails_alone(sqs: Sqs) -> None:
    queue = sqs.queue(MaximumMessageSize="1024")
    batch = [*entries("good"), *entries("long", body="x" * 1025)]
    sent = sqs.client.send_message_batch(QueueUrl=queue, Entries=batch)
    assert [entry["Id"] for entry in sent["Successful"]] == ["good"]
    assert [entry["Id"] for entry in sent["Failed"]] == ["long"]


@pytest.mark.parametrize(
    ("batch", "code"),
    [
        ([], "EmptyBatchRequest"),
        (entries("a", "a"), "BatchEntryIdsNotDistinct"),
        (entries("a b"), "InvalidBatchEntryId"),
        (entries(*map(str, range(11))), "TooManyEntriesInBatchRequest"),
        (entries("a", "b", body="x" * (MEGABYTE // 2 + 1)), "BatchRequestTooLong"),
    ],
)
def test_a_malformed_batch_is_refused_as_a_whole(
    sqs: Sqs, batch: list[dict[str, Any]], code: str
) -> None:
    queue = sqs.queue()
    with pytest.raises(ClientError) as caught:
        sqs.client.send_message_batch(QueueUrl=queue, Entries=batch)
    assert caught.value.response["Error"]["Code"] == SIMPLE + code
    assert sqs.receive(queue) == []


def test_a_batch_may_have_one_megabyte(sqs: Sqs) -> None:
    queue = sqs.queue()
    batch = entries("a", "b", body="x" * (MEGABYTE // 2))
    sent = sqs.client.send_message_batch(QueueUrl=queue, Entries=batch)
    assert len(sent["Successful"]) == 2
