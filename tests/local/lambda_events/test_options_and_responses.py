"""The rules of an event source that need no queue: its options, events, responses and scaling."""

from __future__ import annotations

import itertools
import json
from typing import Any

import pytest
from aws_lambda_powertools.utilities.parser.models import SqsModel

from relay.local.lambda_events import EventSourceOptions, Fault, FaultScript
from relay.local.lambda_events.event import (
    LARGEST_PAYLOAD,
    CompleteFailure,
    event,
    failed_ids,
    payloads,
)
from relay.local.lambda_events.scaling import FEWEST, START, Scaling

ARN = "arn:aws:sqs:us-east-1:000000000000:relay"


def message(name: str, body: str = "{}") -> dict[str, Any]:
    """As `ReceiveMessage` returns it."""
    return {
        "MessageId": name,
        "ReceiptHandle": f"handle of {name}",
        "Body": body,
        "MD5OfBody": "99914b932bd37a50b983c5e7c90ae93b",
        "MD5OfMessageAttributes": "99914b932bd37a50b983c5e7c90ae93b",
        "Attributes": {
            "ApproximateReceiveCount": "1",
            "ApproximateFirstReceiveTimestamp": "1545082649185",
            "SentTimestamp": "1545082649183",
            "SenderId": "AIDAIENQZJOLO23YVJ4VO",
        },
        "MessageAttributes": {
            "colour": {"DataType": "String", "StringValue": "blue"},
            "key": {"DataType": "Binary", "BinaryValue": b"\x00\xff"},
        },
    }


def problems(*, fifo: bool = False, timeout: float = 3.0, **options: Any) -> list[str]:
    return EventSourceOptions(**options).problems(
        fifo=fifo, function_timeout=timeout, visibility_timeout=30.0
    )


@pytest.mark.parametrize(
    ("options", "word"),
    [
        ({"batch_size": 0}, "1 to 10000"),
        ({"batch_size": 10_001, "batching_window": 1}, "1 to 10000"),
        ({"batch_size": 11}, "batching_window of at least 1"),
        ({"batch_size": 11, "fifo": True}, "1 to 10"),
        ({"batching_window": 301}, "0 to 300"),
        ({"batching_window": 1, "fifo": True}, "no batching window"),
        ({"maximum_concurrency": 1}, "2 to 1000"),
        ({"maximum_concurrency": 5, "provisioned_pollers": (2, 9)}, "exclude each other"),
        ({"provisioned_pollers": (9, 2)}, "provisioned_pollers"),
        ({"timeout": 31.0}, "visibility timeout"),
    ],
)
def test_what_aws_would_refuse_is_refused(options: dict[str, Any], word: str) -> None:
    (problem,) = problems(**options)
    assert word in problem


def test_the_largest_values_are_accepted() -> None:
    assert problems(batch_size=10_000, batching_window=300, maximum_concurrency=1_000) == []
    assert problems(provisioned_pollers=(1, 2_000), timeout=30.0) == []
    assert problems(fifo=True, batch_size=10) == []


def test_powertools_accepts_the_event_as_one_of_sqs() -> None:
    parsed = SqsModel.model_validate_json(event([message("m-1"), message("m-2")], ARN))
    first = parsed.Records[0]
    assert (first.messageId, first.receiptHandle) == ("m-1", "handle of m-1")
    assert first.messageAttributes["colour"].stringValue == "blue"
    assert first.messageAttributes["key"].binaryValue == "AP8="
    assert first.eventSourceARN == ARN


def test_a_batch_above_six_megabytes_becomes_several_events_in_order() -> None:
    batch = [message(f"m-{n}", "x" * 900_000) for n in range(10)]
    found = payloads(batch, ARN)
    assert [one["MessageId"] for part, _ in found for one in part] == [f"m-{n}" for n in range(10)]
    assert len(found) > 1
    assert all(len(body) <= LARGEST_PAYLOAD for _, body in found)


@pytest.mark.parametrize(
    "response",
    [b"", b"null", b'""', b"{}", b'{"batchItemFailures": null}', b'{"batchItemFailures": []}'],
)
def test_empty_and_null_are_a_complete_success(response: bytes) -> None:
    assert failed_ids(response, ["a", "b"]) == set()


@pytest.mark.parametrize(
    "response",
    [
        b"not JSON",
        b'{"batchItemFailures": [{"itemIdentifier": ""}]}',
        b'{"batchItemFailures": [{"itemIdentifier": null}]}',
        b'{"batchItemFailures": [{"itemIdentifer": "a"}]}',
        b'{"batchItemFailures": [{"itemIdentifier": "other"}]}',
        b'{"batchItemFailures": "a"}',
        b'{"batchItemFailures": ["a"]}',
    ],
)
def test_anything_else_is_a_complete_failure(response: bytes) -> None:
    with pytest.raises(CompleteFailure):
        failed_ids(response, ["a", "b"])


def test_a_partial_response_names_its_failures() -> None:
    response = json.dumps({"batchItemFailures": [{"itemIdentifier": "b"}]}).encode()
    assert failed_ids(response, ["a", "b"]) == {"b"}


def test_the_concurrency_starts_at_five_and_grows_by_up_to_300_a_minute() -> None:
    seconds = itertools.count()
    scaling = Scaling(most=1_000, clock=lambda: next(seconds))
    assert scaling.allowed == START
    for _ in range(60):
        scaling.received()
    assert scaling.allowed == START + 300
    for _ in range(900):
        scaling.received()
    assert scaling.allowed == 1_000
    scaling.idle()
    assert scaling.allowed == START


def test_errors_reduce_the_concurrency_to_two_and_a_success_ends_that() -> None:
    scaling = Scaling(most=1_000, clock=lambda: 0.0)
    for _ in range(10):
        scaling.failed()
    assert scaling.allowed == FEWEST
    scaling.idle()
    assert scaling.allowed == FEWEST
    scaling.succeeded()
    assert scaling.allowed == START
    assert Scaling(most=2, clock=lambda: 0.0).allowed == 2


def test_faults_apply_in_order_each_after_those_it_skips() -> None:
    script = FaultScript([Fault(kind="kill", skip=1, times=2)])
    script.add(Fault(kind="throttle", times=None))
    kinds = [None if (fault := script.take()) is None else fault.kind for _ in range(5)]
    assert kinds == ["throttle", "kill", "kill", "throttle", "throttle"]
    script.clear()
    assert script.take() is None
