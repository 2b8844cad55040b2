"""Accounts, principals, services and sources are different principals with different conditions."""

from __future__ import annotations

import pytest

from relay_cdk.producers import Producer, parsed

ACCOUNT = "222222222222"


@pytest.mark.parametrize(
    ("text", "producer"),
    [
        (ACCOUNT, Producer(ACCOUNT)),
        (f"arn:aws:iam::{ACCOUNT}:role/a/shop", Producer(f"arn:aws:iam::{ACCOUNT}:role/a/shop")),
        (f"arn:aws:iam::{ACCOUNT}:root", Producer(f"arn:aws:iam::{ACCOUNT}:root")),
        (
            "events.amazonaws.com",
            Producer("events.amazonaws.com", service=True, own_account=True),
        ),
        (
            f"arn:aws:sns:eu-west-1:{ACCOUNT}:orders.fifo",
            Producer(
                "sns.amazonaws.com",
                service=True,
                source=f"arn:aws:sns:eu-west-1:{ACCOUNT}:orders.fifo",
            ),
        ),
        (
            f"arn:aws-cn:events:cn-north-1:{ACCOUNT}:rule/shop/orders",
            Producer(
                "events.amazonaws.com",
                service=True,
                source=f"arn:aws-cn:events:cn-north-1:{ACCOUNT}:rule/shop/orders",
            ),
        ),
        (
            f"arn:aws:events:eu-west-1:{ACCOUNT}:event-bus/shop",
            Producer(
                "events.amazonaws.com",
                service=True,
                source=f"arn:aws:events:eu-west-1:{ACCOUNT}:rule/shop/*",
            ),
        ),
        (
            f"arn:aws:events:eu-west-1:{ACCOUNT}:event-bus/default",
            Producer(
                "events.amazonaws.com",
                service=True,
                source=f"arn:aws:events:eu-west-1:{ACCOUNT}:rule/*",
            ),
        ),
        (
            "arn:aws:s3:::uploads",
            Producer(
                "s3.amazonaws.com", service=True, source="arn:aws:s3:::uploads", own_account=True
            ),
        ),
    ],
)
def test_each_kind_is_told_from_the_others(text: str, producer: Producer) -> None:
    assert parsed(text) == producer
