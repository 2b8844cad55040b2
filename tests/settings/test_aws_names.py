"""Names that AWS would refuse, or would drop without a word, are mistakes."""

from __future__ import annotations

import pytest

from relay.settings.loading import load


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("RELAY_SERVICE", "bestellungen-für-alle"),
        ("RELAY_SERVICE", ":relay"),
        ("RELAY_SERVICE", "a" * 256),
        ("RELAY_SERVICE", "re\tlay"),
        ("RELAY_SERVICE", "  "),
        ("RELAY_QUEUE_URL", "aufträge"),
        ("RELAY_DLQ_URL", "https://sqs.eu-west-1.amazonaws.com/1/aufträge"),
        ("RELAY_QUEUE_URL", "arn:aws:sqs:eu-west-1:\u0661:orders"),
        ("RELAY_PAYLOAD_BUCKETS", "s3://media"),
        ("RELAY_PAYLOAD_BUCKETS", "media/large"),
        ("RELAY_PAYLOAD_BUCKETS", "medien-für-alle"),
        ("RELAY_EMF_LOG_GROUP", "relay metrics"),
        ("RELAY_EMF_LOG_GROUP", "/relay/größe"),
        ("RELAY_LEDGER_TABLE", "ledger-für-alle"),
    ],
)
def test_a_name_that_aws_refuses_is_a_mistake(variable: str, value: str) -> None:
    assert [error for error in load({variable: value}).errors if error.startswith(variable)]


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("RELAY_SERVICE", "a"),
        ("RELAY_SERVICE", "Orders (eu) / relay: 1"),
        ("RELAY_SERVICE", "a" * 255),
        ("RELAY_QUEUE_URL", "Orders_1.fifo"),
        ("RELAY_QUEUE_URL", "https://sqs.cn-north-1.amazonaws.com.cn/111122223333/orders"),
        ("RELAY_DLQ_URL", "arn:aws-us-gov:sqs:us-gov-west-1:111122223333:orders.fifo"),
        ("RELAY_PAYLOAD_BUCKETS", "media, media.example.com"),
        ("RELAY_EMF_LOG_GROUP", "/aws/elasticbeanstalk/relay/metrics.1"),
    ],
)
def test_a_name_that_aws_accepts_is_accepted(variable: str, value: str) -> None:
    assert load({variable: value}).errors == ()
