"""What AWS answered about attributes of queues: the recordings of `test_recorded_answers.py`."""

from __future__ import annotations

import json

import pytest

from .conftest import Sqs, error


def test_a_queue_may_be_its_own_dead_letter_queue(sqs: Sqs) -> None:
    queue = sqs.queue()
    policy = {"deadLetterTargetArn": sqs.attribute(queue, "QueueArn"), "maxReceiveCount": 1}
    attributes = {"RedrivePolicy": json.dumps(policy)}
    sqs.client.set_queue_attributes(QueueUrl=queue, Attributes=attributes)
    assert json.loads(sqs.attribute(queue, "RedrivePolicy")) == policy


@pytest.mark.differs(moto="accepts both")
def test_a_queue_has_one_kind_of_encryption(sqs: Sqs) -> None:
    queue = sqs.queue()
    both = {"KmsMasterKeyId": "key", "SqsManagedSseEnabled": "true"}
    refused = error(sqs.client.set_queue_attributes, QueueUrl=queue, Attributes=both)
    assert refused["Code"] == "InvalidAttributeName"
    assert "one type of server-side encryption" in refused["Message"]
    kms = {"KmsMasterKeyId": "key", "KmsDataKeyReusePeriodSeconds": "6000"}
    sqs.client.set_queue_attributes(QueueUrl=queue, Attributes=kms)
    assert sqs.attribute(queue, "SqsManagedSseEnabled") == "false"
    reset = {"KmsMasterKeyId": "", "KmsDataKeyReusePeriodSeconds": "300"}
    sqs.client.set_queue_attributes(QueueUrl=queue, Attributes=reset)
    found = sqs.client.get_queue_attributes(QueueUrl=queue, AttributeNames=["All"])["Attributes"]
    assert not {"KmsMasterKeyId", "KmsDataKeyReusePeriodSeconds"} & set(found)
    assert found["SqsManagedSseEnabled"] == "false"


@pytest.mark.differs(moto="accepts them")
@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("ContentBasedDeduplication", "false", "Unknown Attribute ContentBasedDeduplication."),
        (
            "DeduplicationScope",
            "queue",
            "You can specify the DeduplicationScope only when FifoQueue is set to true.",
        ),
    ],
)
def test_a_standard_queue_has_no_attribute_of_a_fifo_queue(
    sqs: Sqs, name: str, value: str, message: str
) -> None:
    queue = sqs.queue()
    refused = error(sqs.client.set_queue_attributes, QueueUrl=queue, Attributes={name: value})
    assert (refused["Code"], refused["Message"]) == ("InvalidAttributeName", message)


@pytest.mark.differs(moto="ignores the change")
def test_the_type_of_a_queue_cannot_be_changed(sqs: Sqs) -> None:
    queue = sqs.fifo()
    sqs.client.set_queue_attributes(QueueUrl=queue, Attributes={"FifoQueue": "true"})
    refused = error(
        sqs.client.set_queue_attributes, QueueUrl=queue, Attributes={"FifoQueue": "false"}
    )
    assert refused["Code"] == "InvalidAttributeValue"
    assert refused["Message"].endswith("Modifying queue type is not supported.")


@pytest.mark.differs(moto="writes a policy of 2012")
def test_a_permission_is_written_as_a_policy_of_2008(sqs: Sqs) -> None:
    queue = sqs.queue()
    sqs.client.add_permission(
        QueueUrl=queue, Label="one", AWSAccountIds=["111111111111"], Actions=["SendMessage"]
    )
    sqs.client.add_permission(
        QueueUrl=queue,
        Label="two",
        AWSAccountIds=["111111111111", "222222222222"],
        Actions=["SendMessage", "ReceiveMessage"],
    )
    policy = json.loads(sqs.attribute(queue, "Policy"))
    arn = sqs.attribute(queue, "QueueArn")
    assert (policy["Version"], policy["Id"]) == ("2008-10-17", f"{arn}/SQSDefaultPolicy")
    one, two = policy["Statement"]
    assert (one["Action"], one["Resource"]) == ("SQS:SendMessage", arn)
    assert one["Principal"] == {"AWS": "arn:aws:iam::111111111111:root"}
    assert sorted(two["Action"]) == ["SQS:ReceiveMessage", "SQS:SendMessage"]
    assert len(two["Principal"]["AWS"]) == 2
