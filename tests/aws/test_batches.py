"""Splitting batches, matching their results, and parsing references."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.aws.errors import AwsError
from relay.aws.references import QueueLocation, arn_of, parse_reference
from relay.aws.sqs_values import (
    BATCH_BYTES,
    Failed,
    Outgoing,
    batches_by_size,
    batches_of_ten,
    match_results,
)


@given(st.lists(st.integers(1, BATCH_BYTES + 10), max_size=40))
def test_batches_keep_the_order_and_the_limits(sizes: list[int]) -> None:
    messages = [Outgoing(body="x" * size) for size in sizes]
    batches = list(batches_by_size(messages))
    assert [message for batch in batches for message in batch] == messages
    for batch in batches:
        assert len(batch) <= 10
        assert len(batch) == 1 or sum(message.size for message in batch) <= BATCH_BYTES


@given(st.lists(st.integers(), max_size=45))
def test_all_chunks_but_the_last_have_ten_items(items: list[int]) -> None:
    assert [item for ten in batches_of_ten(items) for item in ten] == items
    assert all(len(ten) == 10 for ten in list(batches_of_ten(items))[:-1])


def test_an_entry_without_a_result_has_failed() -> None:
    answer = {
        "Successful": [{"Id": "2"}],
        "Failed": [{"Id": "0", "Code": "InternalError", "SenderFault": False}],
    }
    first, unanswered, last = match_results(answer, 3, lambda raw: raw["Id"])
    assert first == Failed("InternalError", "InternalError")
    assert isinstance(unanswered, Failed)
    assert not unanswered.permanent
    assert last == "2"


@pytest.mark.parametrize(
    ("reference", "location"),
    [
        ("main", QueueLocation(name="main")),
        (
            "arn:aws:sqs:eu-west-1:123456789012:main.fifo",
            QueueLocation(
                name="main.fifo",
                arn="arn:aws:sqs:eu-west-1:123456789012:main.fifo",
                region="eu-west-1",
                account="123456789012",
            ),
        ),
        (
            "https://sqs.eu-west-1.amazonaws.com/123456789012/main",
            QueueLocation(
                name="main",
                url="https://sqs.eu-west-1.amazonaws.com/123456789012/main",
                region="eu-west-1",
            ),
        ),
        (
            "https://eu-west-1.queue.amazonaws.com/123456789012/main",
            QueueLocation(
                name="main",
                url="https://eu-west-1.queue.amazonaws.com/123456789012/main",
                region="eu-west-1",
            ),
        ),
        (
            "http://127.0.0.1:9324/000000000000/main",
            QueueLocation(name="main", url="http://127.0.0.1:9324/000000000000/main"),
        ),
    ],
)
def test_references_are_parsed(reference: str, location: QueueLocation) -> None:
    assert parse_reference(reference) == location


@pytest.mark.parametrize("reference", ["", "arn:aws:sns:eu-west-1:1:t", "a/b", "https://host"])
def test_a_reference_to_no_queue_is_refused(reference: str) -> None:
    with pytest.raises(AwsError, match="neither a queue's URL"):
        parse_reference(reference)


@pytest.mark.parametrize(
    ("region", "partition"),
    [("eu-west-1", "aws"), ("cn-north-1", "aws-cn"), ("us-gov-west-1", "aws-us-gov")],
)
def test_the_arn_follows_from_the_url(region: str, partition: str) -> None:
    url = f"https://sqs.{region}.amazonaws.com/123456789012/main"
    assert arn_of(url, region) == f"arn:{partition}:sqs:{region}:123456789012:main"
