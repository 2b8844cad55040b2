"""Splitting and sorting out batches, and reading references."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.aws.errors import AwsError
from relay.aws.references import Place, arn_of, parse_reference
from relay.aws.sqs_values import BATCH_BYTES, Failed, Outgoing, by_size, sort_out, tens


@given(st.lists(st.integers(1, BATCH_BYTES + 10), max_size=40))
def test_batches_keep_order_and_limits(sizes: list[int]) -> None:
    messages = [Outgoing(body="x" * size) for size in sizes]
    batches = list(by_size(messages))
    assert [message for batch in batches for message in batch] == messages
    for batch in batches:
        assert len(batch) <= 10
        assert len(batch) == 1 or sum(message.size for message in batch) <= BATCH_BYTES


@given(st.lists(st.integers(), max_size=45))
def test_tens_are_tens(items: list[int]) -> None:
    assert [item for ten in tens(items) for item in ten] == items
    assert all(len(ten) == 10 for ten in list(tens(items))[:-1])


def test_an_entry_that_the_answer_forgot_has_failed() -> None:
    answer = {
        "Successful": [{"Id": "2"}],
        "Failed": [{"Id": "0", "Code": "InternalError", "SenderFault": False}],
    }
    first, forgotten, last = sort_out(answer, 3, lambda raw: raw["Id"])
    assert first == Failed("InternalError", "InternalError")
    assert isinstance(forgotten, Failed)
    assert not forgotten.permanent
    assert last == "2"


@pytest.mark.parametrize(
    ("reference", "place"),
    [
        ("main", Place(name="main")),
        (
            "arn:aws:sqs:eu-west-1:123456789012:main.fifo",
            Place(
                name="main.fifo",
                arn="arn:aws:sqs:eu-west-1:123456789012:main.fifo",
                region="eu-west-1",
                account="123456789012",
            ),
        ),
        (
            "https://sqs.eu-west-1.amazonaws.com/123456789012/main",
            Place(
                name="main",
                url="https://sqs.eu-west-1.amazonaws.com/123456789012/main",
                region="eu-west-1",
            ),
        ),
        (
            "https://eu-west-1.queue.amazonaws.com/123456789012/main",
            Place(
                name="main",
                url="https://eu-west-1.queue.amazonaws.com/123456789012/main",
                region="eu-west-1",
            ),
        ),
        (
            "http://127.0.0.1:9324/000000000000/main",
            Place(name="main", url="http://127.0.0.1:9324/000000000000/main"),
        ),
    ],
)
def test_references_are_read(reference: str, place: Place) -> None:
    assert parse_reference(reference) == place


@pytest.mark.parametrize("reference", ["", "arn:aws:sns:eu-west-1:1:t", "a/b", "https://host"])
def test_what_names_no_queue_is_refused(reference: str) -> None:
    with pytest.raises(AwsError, match="neither a queue's URL"):
        parse_reference(reference)


@pytest.mark.parametrize(
    ("region", "partition"),
    [("eu-west-1", "aws"), ("cn-north-1", "aws-cn"), ("us-gov-west-1", "aws-us-gov")],
)
def test_a_url_tells_the_arn(region: str, partition: str) -> None:
    url = f"https://sqs.{region}.amazonaws.com/123456789012/main"
    assert arn_of(url, region) == f"arn:{partition}:sqs:{region}:123456789012:main"
