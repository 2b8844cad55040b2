"""What AWS answered in 2024 and 2025, when an independent test suite was recorded against it.

The suite is LocalStack's. The documentation does not say these things, or says otherwise. If a test
looks wrong, check the recording first: tests/local/sqs/test_independent_suite.py runs the suite.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from typing import Any

import pytest

from .conftest import Sqs, error

LOCKED = pytest.mark.differs(moto="locks the whole group")
Unique = Callable[[], str]
TRACE = "Root=1-3152b799-8954dae64eda91bc9a23a7e8;Parent=7fa8c0f79203be72;Sampled=1"


def text(value: str) -> dict[str, str]:
    return {"DataType": "String", "StringValue": value}


def send_all(sqs: Sqs, queue: str, bodies: str, unique: Unique) -> None:
    """Send `g1-m1 g2-m1 …`, each to the group before its hyphen."""
    for body in bodies.split():
        sqs.client.send_message(
            QueueUrl=queue,
            MessageBody=body,
            MessageGroupId=body.partition("-")[0],
            MessageDeduplicationId=unique(),
        )


def bodies_of(messages: list[dict[str, Any]]) -> str:
    return " ".join(message["Body"] for message in messages)


def change(sqs: Sqs, queue: str, message: dict[str, Any], seconds: int) -> None:
    handle = message["ReceiptHandle"]
    sqs.client.change_message_visibility(
        QueueUrl=queue, ReceiptHandle=handle, VisibilityTimeout=seconds
    )


def test_a_delete_after_the_visibility_timeout_deletes(sqs: Sqs) -> None:
    queue = sqs.queue()
    sqs.client.send_message(QueueUrl=queue, MessageBody="x")
    [message] = sqs.receive(queue, VisibilityTimeout=0)
    sqs.client.delete_message(QueueUrl=queue, ReceiptHandle=message["ReceiptHandle"])
    assert sqs.receive(queue) == []
    assert sqs.attribute(queue, "ApproximateNumberOfMessages") == "0"


def test_visibility_can_be_changed_after_its_timeout(sqs: Sqs) -> None:
    queue = sqs.queue()
    sqs.client.send_message(QueueUrl=queue, MessageBody="x")
    [message] = sqs.receive(queue, VisibilityTimeout=0)
    change(sqs, queue, message, 2)


def test_an_earlier_handle_releases_what_a_later_receive_holds(sqs: Sqs) -> None:
    queue = sqs.queue()
    sqs.client.send_message(QueueUrl=queue, MessageBody="x")
    [first] = sqs.receive(queue, VisibilityTimeout=0)
    assert len(sqs.receive(queue, WaitTimeSeconds=2)) == 1
    change(sqs, queue, first, 0)
    assert len(sqs.receive(queue, WaitTimeSeconds=2)) == 1


@LOCKED
def test_a_released_message_comes_before_one_of_its_group_that_is_in_flight(
    sqs: Sqs, unique: Unique
) -> None:
    queue = sqs.fifo()
    send_all(sqs, queue, "g1-m1 g1-m2 g2-m1", unique)
    first, second = sqs.receive(queue, count=2)
    assert bodies_of([first, second]) == "g1-m1 g1-m2"
    change(sqs, queue, first, 0)
    assert bodies_of(sqs.receive(queue, count=3, WaitTimeSeconds=2)) == "g2-m1 g1-m1"


@pytest.mark.parametrize(
    ("held", "received"),
    [
        (0, ""),
        pytest.param(1, "g-1", marks=LOCKED),
        pytest.param(2, "g-1 g-2", marks=LOCKED),
    ],
)
def test_a_message_in_flight_blocks_the_later_ones_of_its_group(
    sqs: Sqs, unique: Unique, held: int, received: str
) -> None:
    queue = sqs.fifo()
    send_all(sqs, queue, "g-1 g-2 g-3", unique)
    messages = sqs.receive(queue)
    assert len(messages) == 3
    for index, message in enumerate(messages):
        if index != held:
            change(sqs, queue, message, 0)
    assert bodies_of(sqs.receive(queue, WaitTimeSeconds=1)) == received


@pytest.mark.differs(moto="orders by message, not by group")
def test_groups_take_turns(sqs: Sqs, unique: Unique) -> None:
    queue = sqs.fifo()
    send_all(sqs, queue, "g1-m1 g2-m1 g2-m2 g3-m1 g1-m2", unique)
    assert bodies_of(sqs.receive(queue, count=3, VisibilityTimeout=0)) == "g1-m1 g1-m2 g2-m1"
    assert bodies_of(sqs.receive(queue, VisibilityTimeout=0)) == "g3-m1 g1-m1 g1-m2 g2-m1 g2-m2"


@pytest.mark.differs(moto="always has both lists")
def test_a_batch_response_leaves_out_an_empty_list(sqs: Sqs) -> None:
    queue = sqs.queue()
    entry = {"Id": "a", "MessageBody": "x"}
    sent = sqs.client.send_message_batch(QueueUrl=queue, Entries=[entry])
    assert "Failed" not in sent
    bad = {"Id": "a", "ReceiptHandle": "garbage"}
    deleted = sqs.client.delete_message_batch(QueueUrl=queue, Entries=[bad])
    assert "Successful" not in deleted


@pytest.mark.parametrize(
    ("incomplete", "message"),
    [
        ({"MessageGroupId": "g"}, "The queue should either have ContentBasedDeduplication enabled"),
        pytest.param(
            {"MessageDeduplicationId": "d"},
            "The request must contain the parameter MessageGroupId.",
            marks=pytest.mark.differs(moto="has the code of a single send"),
        ),
    ],
)
def test_an_entry_without_its_ids_fails_the_whole_fifo_batch(
    sqs: Sqs, unique: Unique, incomplete: dict[str, str], message: str
) -> None:
    queue = sqs.fifo()
    good = {"MessageGroupId": "g", "MessageDeduplicationId": unique()}
    batch = [
        {"Id": str(index), "MessageBody": "x", **ids}
        for index, ids in enumerate([good, incomplete])
    ]
    refused = error(sqs.client.send_message_batch, QueueUrl=queue, Entries=batch)
    assert refused["Code"] == "InvalidParameterValue"
    assert refused["Message"].startswith(message)
    assert sqs.receive(queue) == []


@pytest.mark.differs(moto="ignores the header")
@pytest.mark.parametrize("batch", [False, True])
def test_the_trace_header_of_a_request_becomes_that_of_its_messages(sqs: Sqs, batch: bool) -> None:
    queue = sqs.queue()
    events = sqs.client.meta.events

    def add(request: Any, **_: Any) -> None:
        request.headers["X-Amzn-Trace-Id"] = TRACE

    events.register("before-send", add, unique_id="trace")
    try:
        if batch:
            entry = {"Id": "a", "MessageBody": "x"}
            sqs.client.send_message_batch(QueueUrl=queue, Entries=[entry])
        else:
            sqs.client.send_message(QueueUrl=queue, MessageBody="x")
    finally:
        events.unregister("before-send", unique_id="trace")
    [message] = sqs.receive(queue)
    assert message["Attributes"]["AWSTraceHeader"] == TRACE


def test_a_purge_forgets_deduplication_ids(sqs: Sqs, unique: Unique) -> None:
    queue, dedup = sqs.fifo(), unique()
    sqs.client.purge_queue(QueueUrl=queue)
    for _ in range(2):
        sqs.client.send_message(
            QueueUrl=queue, MessageBody="x", MessageGroupId="g", MessageDeduplicationId=dedup
        )
    assert len(sqs.receive(queue)) == 1


@pytest.mark.parametrize(
    ("scope", "limit", "changed", "received"),
    [
        ("queue", "perQueue", ("messageGroup", "perMessageGroupId"), "g1-x"),
        pytest.param(
            "messageGroup",
            "perMessageGroupId",
            ("queue", "perQueue"),
            "g1-x g2-x",
            marks=pytest.mark.differs(moto="applies the new scope"),
        ),
    ],
)
def test_deduplication_keeps_the_scope_that_the_queue_was_created_with(
    sqs: Sqs, unique: Unique, scope: str, limit: str, changed: tuple[str, str], received: str
) -> None:
    queue = sqs.fifo(DeduplicationScope=scope, FifoThroughputLimit=limit)
    names = ("DeduplicationScope", "FifoThroughputLimit")
    attributes = dict(zip(names, changed, strict=True))
    sqs.client.set_queue_attributes(QueueUrl=queue, Attributes=attributes)
    assert sqs.attribute(queue, "DeduplicationScope") == changed[0]
    dedup = unique()
    send_all(sqs, queue, "g1-x g2-x", lambda: dedup)
    assert bodies_of(sqs.receive(queue)) == received


@pytest.mark.differs(moto="refuses letters outside ASCII")
def test_an_attribute_name_may_have_letters_of_any_script(sqs: Sqs) -> None:
    queue = sqs.queue()
    attributes = {"attr.1øßä": text("x")}
    sqs.client.send_message(QueueUrl=queue, MessageBody="x", MessageAttributes=attributes)
    [message] = sqs.receive(queue, MessageAttributeNames=["*"])
    assert message["MessageAttributes"] == attributes


@pytest.mark.differs(moto="accepts an empty value")
def test_an_empty_attribute_is_refused_in_these_words(sqs: Sqs) -> None:
    refused = error(
        sqs.client.send_message,
        QueueUrl=sqs.queue(),
        MessageBody="x",
        MessageAttributes={"a": text("")},
    )
    assert refused["Message"] == (
        "Message (user) attribute 'a' must contain a non-empty value of type 'String'."
    )


@pytest.mark.differs(moto="has no message move tasks")
def test_the_handle_of_a_move_task_contains_its_id_and_its_source(sqs: Sqs) -> None:
    dead = sqs.queue()
    arn = sqs.attribute(dead, "QueueArn")
    sqs.queue(RedrivePolicy=json.dumps({"deadLetterTargetArn": arn, "maxReceiveCount": 1}))
    started = sqs.client.start_message_move_task(SourceArn=arn)
    handle = json.loads(base64.b64decode(started["TaskHandle"]))
    assert handle["sourceArn"] == arn
    assert set(handle) == {"taskId", "sourceArn"}
    handle["taskId"] = "10f57157-fc38-4da9-a113-4de7e12d05aa"
    other = base64.b64encode(json.dumps(handle).encode()).decode()
    refused = error(sqs.client.cancel_message_move_task, TaskHandle=other)
    assert (refused["Code"], refused["Message"]) == (
        "ResourceNotFoundException",
        "Task does not exist.",
    )


@pytest.mark.differs(moto="does not quote it")
def test_an_invalid_handle_is_quoted(sqs: Sqs) -> None:
    refused = error(sqs.client.delete_message, QueueUrl=sqs.queue(), ReceiptHandle="garbage")
    assert refused["Code"] == "ReceiptHandleIsInvalid"
    message = 'The input receipt handle "garbage" is not a valid receipt handle.'
    assert refused["Message"] == message
