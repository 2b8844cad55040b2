"""Sending, receiving and settling on a standard queue."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from botocore.exceptions import ClientError  # type: ignore[import-untyped] # it ships no types

from .conftest import Sqs

MEGABYTE = 1_048_576
EVERY_TYPE = {
    "text": {"DataType": "String", "StringValue": "größe"},
    "text.custom": {"DataType": "String.json", "StringValue": "{}"},
    "number": {"DataType": "Number", "StringValue": "1.10"},
    "bytes": {"DataType": "Binary", "BinaryValue": b"\x00\xff"},
    "bytes.png": {"DataType": "Binary.png", "BinaryValue": b"\x89PNG"},
}


def text(value: str) -> dict[str, str]:
    return {"DataType": "String", "StringValue": value}


def refusal(call: Any, **parameters: Any) -> str:
    with pytest.raises(ClientError) as caught:
        call(**parameters)
    return str(caught.value.response["Error"]["Code"])


def test_a_message_comes_out_as_it_went_in(sqs: Sqs) -> None:
    queue = sqs.queue()
    body = 'line\r\n\ttab "quoted" é € 😀'
    sent = sqs.client.send_message(QueueUrl=queue, MessageBody=body, MessageAttributes=EVERY_TYPE)
    [message] = sqs.receive(queue)
    assert message["MessageId"] == sent["MessageId"]
    assert message["Body"] == body
    assert message["MessageAttributes"] == EVERY_TYPE
    assert message["MD5OfBody"] == sent["MD5OfMessageBody"]
    assert message["MD5OfMessageAttributes"] == sent["MD5OfMessageAttributes"]


@pytest.mark.parametrize(
    ("asked", "shown"),
    [
        (["All"], set(EVERY_TYPE)),
        ([".*"], set(EVERY_TYPE)),
        (["text"], {"text"}),
        (["text.*", "number"], {"text", "text.custom", "number"}),
        (["absent"], set()),
        ([], set()),
    ],
)
def test_only_the_attributes_asked_for_are_shown(
    sqs: Sqs, asked: list[str], shown: set[str]
) -> None:
    queue = sqs.queue()
    sqs.client.send_message(QueueUrl=queue, MessageBody="x", MessageAttributes=EVERY_TYPE)
    [message] = sqs.receive(queue, MessageAttributeNames=asked)
    assert set(message.get("MessageAttributes", {})) == shown
    assert ("MD5OfMessageAttributes" in message) is bool(shown)


def test_sqs_tells_what_it_knows_of_a_message(sqs: Sqs) -> None:
    queue = sqs.queue()
    sqs.client.send_message(QueueUrl=queue, MessageBody="x")
    [first] = sqs.receive(queue, VisibilityTimeout=0)
    [second] = sqs.receive(queue, WaitTimeSeconds=2)
    known, later = first["Attributes"], second["Attributes"]
    assert known["ApproximateReceiveCount"] == "1"
    assert later["ApproximateReceiveCount"] == "2"
    assert later["SentTimestamp"] == known["SentTimestamp"]
    first_received = known["ApproximateFirstReceiveTimestamp"]
    assert later["ApproximateFirstReceiveTimestamp"] == first_received
    assert int(first_received) >= int(known["SentTimestamp"])
    assert first["ReceiptHandle"] != second["ReceiptHandle"]


def test_system_attributes_can_be_asked_for_by_their_old_name(sqs: Sqs) -> None:
    queue = sqs.queue()
    sqs.client.send_message(QueueUrl=queue, MessageBody="x")
    [message] = sqs.receive(queue, MessageSystemAttributeNames=[], AttributeNames=["SentTimestamp"])
    assert set(message["Attributes"]) == {"SentTimestamp"}


def test_a_trace_header_travels_beside_the_attributes(sqs: Sqs) -> None:
    queue = sqs.queue()
    header = {"AWSTraceHeader": text("Root=1-5759e988-bd862e3fe1be46a994272793")}
    sqs.client.send_message(QueueUrl=queue, MessageBody="x", MessageSystemAttributes=header)
    [message] = sqs.receive(queue)
    assert message["Attributes"]["AWSTraceHeader"] == header["AWSTraceHeader"]["StringValue"]
    assert "MessageAttributes" not in message


@pytest.mark.differs(moto="drops the trace header of a batch")
def test_a_trace_header_travels_in_a_batch(sqs: Sqs) -> None:
    queue = sqs.queue()
    entry = {
        "Id": "0",
        "MessageBody": "x",
        "MessageSystemAttributes": {"AWSTraceHeader": text("Root=1")},
    }
    sqs.client.send_message_batch(QueueUrl=queue, Entries=[entry])
    [message] = sqs.receive(queue)
    assert message["Attributes"]["AWSTraceHeader"] == "Root=1"


def test_a_standard_queue_keeps_the_group(sqs: Sqs) -> None:
    queue = sqs.queue()
    sqs.client.send_message(QueueUrl=queue, MessageBody="x", MessageGroupId="tenant")
    [message] = sqs.receive(queue)
    assert message["Attributes"]["MessageGroupId"] == "tenant"


def test_a_message_in_flight_is_hidden_until_it_is_released(sqs: Sqs) -> None:
    queue = sqs.queue()
    sqs.client.send_message(QueueUrl=queue, MessageBody="x")
    [message] = sqs.receive(queue)
    assert sqs.receive(queue) == []
    assert sqs.attribute(queue, "ApproximateNumberOfMessagesNotVisible") == "1"
    sqs.client.change_message_visibility(
        QueueUrl=queue, ReceiptHandle=message["ReceiptHandle"], VisibilityTimeout=0
    )
    [again] = sqs.receive(queue, WaitTimeSeconds=2)
    assert again["MessageId"] == message["MessageId"]


def test_a_lease_that_runs_out_gives_the_message_to_a_long_poll(sqs: Sqs) -> None:
    queue = sqs.queue(VisibilityTimeout="1")
    sqs.client.send_message(QueueUrl=queue, MessageBody="x")
    [message] = sqs.receive(queue)
    [again] = sqs.receive(queue, WaitTimeSeconds=5)
    assert again["MessageId"] == message["MessageId"]


def test_a_delayed_message_reaches_a_long_poll(sqs: Sqs) -> None:
    queue = sqs.queue()
    sqs.client.send_message(QueueUrl=queue, MessageBody="x", DelaySeconds=1)
    assert sqs.receive(queue) == []
    assert sqs.attribute(queue, "ApproximateNumberOfMessagesDelayed") == "1"
    [message] = sqs.receive(queue, WaitTimeSeconds=5)
    assert message["Body"] == "x"


def test_a_long_poll_gets_what_is_sent_while_it_waits(sqs: Sqs) -> None:
    queue = sqs.queue()
    got: list[dict[str, Any]] = []
    poll = threading.Thread(target=lambda: got.extend(sqs.receive(queue, WaitTimeSeconds=10)))
    poll.start()
    sqs.client.send_message(QueueUrl=queue, MessageBody="x")
    poll.join()
    assert [message["Body"] for message in got] == ["x"]


def test_a_deleted_message_is_gone_and_may_be_deleted_again(sqs: Sqs) -> None:
    queue = sqs.queue(VisibilityTimeout="0")
    sqs.client.send_message(QueueUrl=queue, MessageBody="x")
    [message] = sqs.receive(queue, VisibilityTimeout=30)
    for _ in range(2):
        sqs.client.delete_message(QueueUrl=queue, ReceiptHandle=message["ReceiptHandle"])
    assert sqs.receive(queue) == []
    assert sqs.attribute(queue, "ApproximateNumberOfMessagesNotVisible") == "0"


@pytest.mark.differs(moto="really deletes with a stale handle")
def test_a_stale_handle_deletes_nothing_and_says_nothing(sqs: Sqs) -> None:
    queue = sqs.queue()
    sqs.client.send_message(QueueUrl=queue, MessageBody="x")
    [first] = sqs.receive(queue, VisibilityTimeout=0)
    [second] = sqs.receive(queue, WaitTimeSeconds=2)
    sqs.client.delete_message(QueueUrl=queue, ReceiptHandle=first["ReceiptHandle"])
    assert sqs.attribute(queue, "ApproximateNumberOfMessagesNotVisible") == "1"
    sqs.client.delete_message(QueueUrl=queue, ReceiptHandle=second["ReceiptHandle"])
    assert sqs.attribute(queue, "ApproximateNumberOfMessagesNotVisible") == "0"


def test_a_handle_that_is_none_is_refused(sqs: Sqs) -> None:
    queue = sqs.queue()
    parameters = {"QueueUrl": queue, "ReceiptHandle": "bm9uZQ=="}
    assert refusal(sqs.client.delete_message, **parameters) == "ReceiptHandleIsInvalid"
    change = sqs.client.change_message_visibility
    assert refusal(change, VisibilityTimeout=1, **parameters) == "ReceiptHandleIsInvalid"


def test_a_body_may_fill_a_megabyte_and_no_more(sqs: Sqs) -> None:
    queue = sqs.queue()
    sqs.client.send_message(QueueUrl=queue, MessageBody="x" * MEGABYTE)
    [message] = sqs.receive(queue)
    assert len(message["Body"]) == MEGABYTE
    too_long = "x" * (MEGABYTE + 1)
    refused = refusal(sqs.client.send_message, QueueUrl=queue, MessageBody=too_long)
    assert refused == "InvalidParameterValue"


@pytest.mark.differs(moto="counts the body alone in a single send")
def test_attributes_count_towards_the_megabyte(sqs: Sqs) -> None:
    queue = sqs.queue()
    attributes = {"name": text("value")}
    room = MEGABYTE - len("name" + "String" + "value")
    send = sqs.client.send_message
    send(QueueUrl=queue, MessageBody="x" * room, MessageAttributes=attributes)
    [message] = sqs.receive(queue)
    assert len(message["Body"]) == room
    too_long = {"MessageBody": "x" * (room + 1), "MessageAttributes": attributes}
    assert refusal(send, QueueUrl=queue, **too_long) == "InvalidParameterValue"


@pytest.mark.differs(moto="accepts control characters")
def test_a_character_outside_xml_is_refused(sqs: Sqs) -> None:
    queue = sqs.queue()
    send = sqs.client.send_message
    assert refusal(send, QueueUrl=queue, MessageBody="a\x00b") == "InvalidMessageContents"


@pytest.mark.differs(moto="accepts any number of attributes")
def test_an_eleventh_attribute_is_refused(sqs: Sqs) -> None:
    queue = sqs.queue()
    attributes = {f"n{number}": text("v") for number in range(11)}
    send = sqs.client.send_message
    refused = refusal(send, QueueUrl=queue, MessageBody="x", MessageAttributes=attributes)
    assert refused == "InvalidParameterValue"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("a b", text("v")),
        pytest.param(
            "empty",
            {"DataType": "String", "StringValue": ""},
            marks=pytest.mark.differs(moto="accepts an empty value"),
        ),
        ("type", {"DataType": "Text", "StringValue": "v"}),
        ("none", {"DataType": "", "StringValue": "v"}),
    ],
)
def test_an_attribute_that_sqs_does_not_know_is_refused(
    sqs: Sqs, name: str, value: dict[str, str]
) -> None:
    queue = sqs.queue()
    send = sqs.client.send_message
    refused = refusal(send, QueueUrl=queue, MessageBody="x", MessageAttributes={name: value})
    assert refused == "InvalidParameterValue"


@pytest.mark.parametrize(
    "options", [{"MaxNumberOfMessages": 11}, {"MaxNumberOfMessages": 0}, {"WaitTimeSeconds": 21}]
)
def test_a_receive_out_of_range_is_refused(sqs: Sqs, options: dict[str, int]) -> None:
    queue = sqs.queue()
    refused = refusal(sqs.client.receive_message, QueueUrl=queue, **options)
    assert refused == "InvalidParameterValue"


def test_a_queue_that_is_not_there_has_two_names_for_it(sqs: Sqs) -> None:
    url = f"{sqs.queue()}-not"
    with pytest.raises(sqs.client.exceptions.QueueDoesNotExist) as caught:
        sqs.client.send_message(QueueUrl=url, MessageBody="x")
    error = caught.value.response["Error"]
    assert error["Code"] == "AWS.SimpleQueueService.NonExistentQueue"
    assert error["QueryErrorCode"] == "QueueDoesNotExist"
