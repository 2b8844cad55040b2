"""Creating, finding, listing, configuring, tagging, purging and deleting queues."""

from __future__ import annotations

import uuid

import pytest
from botocore.exceptions import ClientError  # type: ignore[import-untyped] # it ships no types

from .conftest import Sqs

DEFAULTS = {
    "DelaySeconds": "0",
    "MaximumMessageSize": "1048576",
    "MessageRetentionPeriod": "345600",
    "ReceiveMessageWaitTimeSeconds": "0",
    "VisibilityTimeout": "30",
    "ApproximateNumberOfMessages": "0",
}


def test_a_queue_has_the_default_attributes(sqs: Sqs) -> None:
    found = sqs.client.get_queue_attributes(QueueUrl=sqs.queue(), AttributeNames=["All"])
    assert DEFAULTS.items() <= found["Attributes"].items()
    assert "RedrivePolicy" not in found["Attributes"]


def test_creating_a_queue_is_idempotent_for_equal_attributes(sqs: Sqs) -> None:
    name = f"q-{uuid.uuid4().hex}"
    attributes = {"VisibilityTimeout": "60"}
    first = sqs.client.create_queue(QueueName=name, Attributes=attributes)["QueueUrl"]
    second = sqs.client.create_queue(QueueName=name, Attributes=attributes)["QueueUrl"]
    assert first == second == sqs.client.get_queue_url(QueueName=name)["QueueUrl"]
    with pytest.raises(ClientError) as caught:
        sqs.client.create_queue(QueueName=name, Attributes={"VisibilityTimeout": "61"})
    assert caught.value.response["Error"]["Code"] == "QueueAlreadyExists"


@pytest.mark.parametrize(
    "name",
    [
        "a b",
        "x" * 81,
        pytest.param("a.fifo", marks=pytest.mark.differs(moto="creates a FIFO queue")),
    ],
)
def test_a_bad_name_is_refused(sqs: Sqs, name: str) -> None:
    with pytest.raises(ClientError) as caught:
        sqs.client.create_queue(QueueName=name)
    assert caught.value.response["Error"]["Code"] == "InvalidParameterValue"


def test_attributes_are_set_and_read(sqs: Sqs) -> None:
    queue = sqs.queue()
    sqs.client.set_queue_attributes(QueueUrl=queue, Attributes={"VisibilityTimeout": "77"})
    assert sqs.attribute(queue, "VisibilityTimeout") == "77"
    with pytest.raises(ClientError) as caught:
        sqs.client.get_queue_attributes(QueueUrl=queue, AttributeNames=["Colour"])
    assert caught.value.response["Error"]["Code"] == "InvalidAttributeName"


@pytest.mark.differs(moto="accepts values out of range")
def test_a_value_out_of_range_is_refused(sqs: Sqs) -> None:
    queue = sqs.queue()
    with pytest.raises(ClientError) as caught:
        sqs.client.set_queue_attributes(QueueUrl=queue, Attributes={"VisibilityTimeout": "43201"})
    assert caught.value.response["Error"]["Code"] == "InvalidAttributeValue"


def test_queues_are_listed_by_prefix_in_pages(sqs: Sqs) -> None:
    prefix = f"p-{uuid.uuid4().hex}"
    for char in "abc":
        sqs.client.create_queue(QueueName=f"{prefix}-{char}")
    first = sqs.client.list_queues(QueueNamePrefix=prefix, MaxResults=2)
    rest = sqs.client.list_queues(
        QueueNamePrefix=prefix, MaxResults=2, NextToken=first["NextToken"]
    )
    urls = first["QueueUrls"] + rest["QueueUrls"]
    assert sorted(url[-1] for url in urls) == ["a", "b", "c"]
    assert "NextToken" not in rest
    assert "QueueUrls" not in sqs.client.list_queues(QueueNamePrefix=f"{prefix}-none")


def test_a_deleted_queue_is_gone(sqs: Sqs) -> None:
    queue = sqs.queue()
    sqs.client.delete_queue(QueueUrl=queue)
    with pytest.raises(sqs.client.exceptions.QueueDoesNotExist):
        sqs.client.get_queue_url(QueueName=queue.rpartition("/")[2])


def test_a_purge_deletes_everything_once_a_minute(sqs: Sqs) -> None:
    queue = sqs.queue()
    for body in "ab":
        sqs.client.send_message(QueueUrl=queue, MessageBody=body)
    sqs.receive(queue, count=1)
    sqs.client.purge_queue(QueueUrl=queue)
    assert sqs.receive(queue) == []
    with pytest.raises(sqs.client.exceptions.PurgeQueueInProgress):
        sqs.client.purge_queue(QueueUrl=queue)


def test_tags_can_be_set_added_and_removed(sqs: Sqs) -> None:
    created = sqs.client.create_queue(QueueName=f"q-{uuid.uuid4().hex}", tags={"a": "1"})
    queue = created["QueueUrl"]
    sqs.client.tag_queue(QueueUrl=queue, Tags={"b": "2"})
    assert sqs.client.list_queue_tags(QueueUrl=queue)["Tags"] == {"a": "1", "b": "2"}
    sqs.client.untag_queue(QueueUrl=queue, TagKeys=["a"])
    assert sqs.client.list_queue_tags(QueueUrl=queue)["Tags"] == {"b": "2"}


def test_permissions_are_statements_in_the_policy(sqs: Sqs) -> None:
    queue = sqs.queue()
    sqs.client.add_permission(
        QueueUrl=queue, Label="l", AWSAccountIds=["111111111111"], Actions=["SendMessage"]
    )
    assert '"l"' in sqs.attribute(queue, "Policy")
    sqs.client.remove_permission(QueueUrl=queue, Label="l")
    with pytest.raises(ClientError) as caught:
        sqs.client.remove_permission(QueueUrl=queue, Label="l")
    assert caught.value.response["Error"]["Code"] == "InvalidParameterValue"
