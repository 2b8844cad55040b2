"""Sending, receiving, deleting and changing visibility on a standard queue."""

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


def test_a_message_is_received_as_it_was_sent(sqs: Sqs) -> None:
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
    ("requested", "returned"),
    [
        (["All"], set(EVERY_TYPE)),
        ([".*"], set(EVERY_TYPE)),
        (["text"], {"text"}),
        (["text.*", "number"], {"text", "text.custom", "number"}),
        (["absent"], set()),
        ([], set()),
    ],
)
def test_only_the_requested_attributes_are_returned(
    sqs: Sqs, requested: list[str], returned: set[str]
) -> None:
    queue = sqs.queue()
    sqs.client.send_message(QueueUrl=queue, MessageBody="x", MessageAttributes=EVERY_TYPE)
    [message] = sqs.receive(queue, MessageAttributeNames=requested)
    assert set(message.get("MessageAttributes", {})) == returned
    assert ("MD5OfMessageAttributes" in message) is bool(returned)


def test_system_attributes_follow_the_receives(sqs: Sqs) -> None:
    queue = sqs.queue()
    sqs.client.send_message(QueueUrl=queue, MessageBody="x")
    [first] = sqs.receive(queue, VisibilityTimeout=0)
    [second] = sqs.receive(queue, WaitTimeSeconds=2)
    earlier, later = first["Attributes"], second["Attributes"]
    assert earlier["ApproximateReceiveCount"] == "1"
    assert later["ApproximateReceiveCount"] == "2"
    assert later["SentTimestamp"] == earlier["SentTimestamp"]
    first_received = earlier["ApproximateFirstReceiveTimestamp"]
    assert later["ApproximateFirstReceiveTimestamp"] == first_received
    assert int(first_received) >= int(earlier["SentTimestamp"])
    assert first["ReceiptHandle"] != second["ReceiptHandle"]


def test_system_attributes_can_be_requested_by_the_old_parameter(sqs: Sqs) -> None:
    queue = sqs.queue()
    sqs.client.send_message(QueueUrl=queue, MessageBody="x")
    [message] = sqs.receive(queue, MessageSystemAttributeNames=[], AttributeNames=["SentTimestamp"])
    assert set(message["Attributes"]) == {"SentTimestamp"}


def test_a_trace_header_is_not_a_message_attribute(sqs: Sqs) -> None:
    queue = sqs.queue()
    header = {"AWSTraceHeader": text("Root=1-5759e988-bd862e3fe1be46a994272793")}
    sqs.client.send_message(QueueUrl=queue, MessageBody="x", MessageSystemAttributes=header)
    [message] = sqs.receive(queue)
    assert message["Attributes"]["AWSTraceHeader"] == header["AWSTraceHeader"]["StringValue"]
    assert "MessageAttributes" not in message


@pytest.mark.differs(moto="drops the trace header of a batch")
def test_a_trace_header_is_kept_in_a_batch(sqs: Sqs) -> None:
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


def test_a_long_poll_receives_a_message_whose_visibility_timeout_ends(sqs: Sqs) -> None:
    queue = sqs.queue(VisibilityTimeout="1")
    sqs.client.send_message(QueueUrl=queue, MessageBody="x")
    [message] = sqs.receive(queue)
    [again] = sqs.receive(queue, WaitTimeSeconds=5)
    assert again["MessageId"] == message["MessageId"]


def test_a_long_poll_receives_a_delayed_message(sqs: Sqs) -> None:
    queue = sqs.queue()
    sqs.client.send_message(QueueUrl=queue, MessageBody="x", DelaySeconds=1)
    assert sqs.receive(queue) == []
    assert sqs.attribute(queue, "ApproximateNumberOfMessagesDelayed") == "1"
    [message] = sqs.receive(queue, WaitTimeSeconds=5)
    assert message["Body"] == "x"


def test_a_long_poll_receives_what_is_sent_while_it_waits(sqs: Sqs) -> None:
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


def test_a_stale_handle_deletes_the_message(sqs: Sqs) -> None:
    queue = sqs.queue()
    sqs.client.send_message(QueueUrl=queue, MessageBody="x")
    [first] = sqs.receive(queue, VisibilityTimeout=0)
    assert len(sqs.receive(queue, WaitTimeSeconds=2)) == 1
    sqs.client.delete_message(QueueUrl=queue, ReceiptHandle=first["ReceiptHandle"])
    assert sqs.attribute(queue, "ApproximateNumberOfMessagesNotVisible") == "0"


def test_an_invalid_handle_is_refused(sqs: Sqs) -> None:
    queue = sqs.queue()
    parameters = {"QueueUrl": queue, "ReceiptHandle": "bm9uZQ=="}
    assert refusal(sqs.client.delete_message, **parameters) == "ReceiptHandleIsInvalid"
    change = sqs.client.change_message_visibility
    assert refusal(change, VisibilityTimeout=1, **parameters) == "ReceiptHandleIsInvalid"


def test_a_body_may_have_one_megabyte_and_no_more(sqs: Sqs) -> None:
    queue = sqs.queue()
    sqs.client.send_message(QueueUrl=queue, MessageBody="x" * MEGABYTE)
    [message] = sqs.receive(queue)
    assert len(message["Body"]) == MEGABYTE
    too_long = "x" * (MEGABYTE + 1)
    refused = refusal(sqs.client.send_message, QueueUrl=queue, MessageBody=too_long)
    assert refused == "InvalidParameterValue"


@pytest.mark.differs(moto="counts only the body in a single send")
def test_attributes_count_towards_the_megabyte(sqs: Sqs) -> None:
    queue = sqs.queue()
    attributes = {"name": text("value")}
    space = MEGABYTE - len("name" + "String" + "value")
    send = sqs.client.send_message
    send(QueueUrl=queue, MessageBody="x" * space, MessageAttributes=attributes)
    [message] = sqs.receive(queue)
    assert len(message["Body"]) == space
    too_long = {"MessageBody": "x" * (space + 1), "MessageAttributes": attributes}
    assert refusal(send, QueueUrl=queue, **too_long) == "InvalidParameterValue"


@pytest.mark.differs(moto="accepts control characters")
def test_a_character_that_xml_does_not_allow_is_refused(sqs: Sqs) -> None:
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
def test_an_invalid_attribute_is_refused(sqs: Sqs, name: str, value: dict[str, str]) -> None:
    queue = sqs.queue()
    send = sqs.client.send_message
    refused = refusal(send, QueueUrl=queue, MessageBody="x", MessageAttributes={name: value})
    assert refused == "InvalidParameterValue"


@pytest.mark.parametrize(
    "options", [{"MaxNumberOfMessages": 11}, {"MaxNumberOfMessages": 0}, {"WaitTimeSeconds": 21}]
)
def test_a_receive_with_a_parameter_out_of_range_is_refused(
    sqs: Sqs, options: dict[str, int]
) -> None:
    queue = sqs.queue()
    refused = refusal(sqs.client.receive_message, QueueUrl=queue, **options)
    assert refused == "InvalidParameterValue"


def test_a_missing_queue_is_reported_with_both_codes(sqs: Sqs) -> None:
    url = f"{sqs.queue()}-not"
    with pytest.raises(sqs.client.exceptions.QueueDoesNotExist) as caught:
        sqs.client.send_message(QueueUrl=url, MessageBody="x")
    error = caught.value.response["Error"]
    assert error["Code"] == "AWS.SimpleQueueService.NonExistentQueue"
    assert error.get("QueryErrorCode", "QueueDoesNotExist") == "QueueDoesNotExist"
