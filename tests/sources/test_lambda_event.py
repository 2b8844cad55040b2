"""Events of Lambda become messages, and what is none is refused with a stable code."""

from __future__ import annotations

import json
from typing import Any

import pytest
from aws_lambda_powertools.utilities.data_classes import SQSEvent

from relay.sources.lambda_event import InvocationFailed, read_event
from tests.mutations import mutations
from tests.sources.lambda_records import ARN, FIFO, event, record


def test_a_record_becomes_the_message_that_a_receive_would_return() -> None:
    batch = read_event(event(record("m-1", arn=FIFO, group="g-1", receives=3)))
    assert batch.fifo
    assert batch.queue_arn == FIFO
    received = batch.records[0].received
    assert received is not None
    assert received.handle == "handle of m-1"
    message = received.message
    assert (message.message_id, message.queue) == ("m-1", "my-queue.fifo")
    assert (message.body, message.receive_count) == (b"body of m-1", 3)
    assert (message.group_id, message.dedup_id) == ("g-1", "m-1")
    assert (message.sent_at, message.first_received_at) == (1545082649.183, 1545082649.185)
    assert message.attributes["colour"].value == "blue"


def test_a_binary_attribute_is_read_from_base64() -> None:
    raw = record("m-1")
    raw["messageAttributes"] = {"key": {"binaryValue": "AP8=", "dataType": "Binary.png"}}
    received = read_event(event(raw)).records[0].received
    assert received is not None
    attribute = received.message.attributes["key"]
    assert (attribute.data_type, attribute.value) == ("Binary.png", b"\x00\xff")


def test_powertools_reads_the_same_from_the_same_event() -> None:
    raw = event(record("m-1", arn=FIFO, group="g-1", receives=7))
    (theirs,) = SQSEvent(raw).records
    received = read_event(raw).records[0].received
    assert received is not None
    ours = received.message
    assert theirs.message_id == ours.message_id
    assert theirs.receipt_handle == received.handle
    assert theirs.body.encode() == ours.body
    assert theirs.queue_url.endswith(f"/{ours.queue}")
    assert int(theirs.attributes.approximate_receive_count) == ours.receive_count
    assert theirs.attributes.message_group_id == ours.group_id
    colour = theirs.message_attributes["colour"]
    assert colour is not None
    assert colour.string_value == ours.attributes["colour"].value


@pytest.mark.parametrize(
    "found",
    [
        None,
        [],
        "text",
        {},
        {"Records": None},
        {"Records": []},
        {"Records": [None]},
        {"Records": [{"eventSource": "aws:kinesis", "eventSourceARN": ARN, "messageId": "m"}]},
        {"Records": [{"EventSource": "aws:sns", "Sns": {"Message": "m"}}]},
        {"source": "aws.events", "detail": {}},
        {"Records": [{**record("m-1"), "messageId": ""}]},
        {"Records": [record("m-1"), {**record("m-2"), "messageId": None}]},
        {"Records": [record("m-1"), record("m-2", arn=FIFO)]},
    ],
)
def test_what_is_no_event_of_one_queue_is_refused_as_a_whole(found: object) -> None:
    with pytest.raises(InvocationFailed, match=r"^not_an_sqs_event: .*make an SQS queue") as caught:
        read_event(found)
    assert caught.value.code == "not_an_sqs_event"


@pytest.mark.parametrize(
    "change",
    [
        {"body": None},
        {"receiptHandle": ""},
        {"attributes": {"ApproximateReceiveCount": "many"}},
        {"messageAttributes": {"a": {"stringValue": 7, "dataType": "Number"}}},
        {"md5OfBody": "0" * 32},
    ],
)
def test_a_record_that_cannot_be_read_has_no_message_but_keeps_its_id(
    change: dict[str, Any],
) -> None:
    batch = read_event(event({**record("m-1"), **change}, record("m-2")))
    assert [one.message_id for one in batch.records] == ["m-1", "m-2"]
    assert batch.records[0].received is None
    assert batch.records[1].received is not None


def test_any_mutation_is_a_batch_of_all_its_records_or_refused() -> None:
    whole = event(record("m-1", arn=FIFO, group="g"), record("m-2", arn=FIFO, group="g"))
    seen = {"read": 0, "refused": 0}
    for body in mutations(whole):
        try:
            found = json.loads(body)
        except (ValueError, RecursionError):
            continue
        try:
            batch = read_event(found)
        except InvocationFailed:
            seen["refused"] += 1
        else:
            assert len(batch.records) == len(found["Records"])
            seen["read"] += 1
    assert min(seen.values()) > 20
