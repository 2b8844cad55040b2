"""The comparison of calls and policies notices what it is for."""

from __future__ import annotations

import pytest

from tests.deploy.aws_calls import Call
from tests.deploy.iam_policy import Grant, grants

QUEUE = "arn:aws:sqs:eu-west-1:123456789012:shop-events"
KEY = "arn:aws:kms:eu-west-1:123456789012:key/1"
VIA_SQS = "sqs.eu-west-1.amazonaws.com"
SEND = Call("sqs:SendMessage", QUEUE)


@pytest.mark.parametrize(
    ("action", "resource", "allowed"),
    [
        ("sqs:SendMessage", QUEUE, True),
        ("sqs:sendmessage", QUEUE, True),
        ("sqs:Send*", QUEUE, True),
        ("sqs:SendMessage", f"{QUEUE}-dlq", False),
        ("sqs:SendMessage", QUEUE[:-1] + "?", True),
        ("sqs:SendMessage", "arn:aws:sqs:*:123456789012:shop-*", True),
        ("sqs:ReceiveMessage", QUEUE, False),
    ],
)
def test_a_call_is_allowed_by_its_action_and_resource(
    action: str, resource: str, *, allowed: bool
) -> None:
    assert Grant("Any", action, resource).allows(SEND) is allowed


def test_a_condition_must_hold_and_an_absent_key_does_not() -> None:
    grant = Grant("Key", "kms:Decrypt", KEY, (("kms:ViaService", (VIA_SQS,)),))
    assert grant.allows(Call("kms:Decrypt", KEY, VIA_SQS))
    assert not grant.allows(Call("kms:Decrypt", KEY, "s3.eu-west-1.amazonaws.com"))
    assert not grant.allows(Call("kms:Decrypt", KEY))


def test_a_statement_is_a_grant_for_each_action_and_resource() -> None:
    statement = {"Sid": "S", "Effect": "Allow", "Action": ["a:B", "a:C"], "Resource": ["x", "y"]}
    found = list(grants([{"Statement": statement}]))
    assert [(grant.action, grant.resource) for grant in found] == [
        ("a:B", "x"),
        ("a:B", "y"),
        ("a:C", "x"),
        ("a:C", "y"),
    ]


def test_a_condition_that_it_does_not_understand_is_not_ignored() -> None:
    statement = {
        "Sid": "S",
        "Effect": "Allow",
        "Action": "a:B",
        "Resource": "*",
        "Condition": {"Bool": {"aws:SecureTransport": "true"}},
    }
    with pytest.raises(AssertionError, match="SecureTransport"):
        list(grants([{"Statement": statement}]))
