"""RELAY_DLQ_URL must not be the main queue, however the two are spelt."""

from __future__ import annotations

import pytest

from relay.aws.references import same_queue
from relay.settings.loading import load

ARN = "arn:aws:sqs:eu-west-1:123456789012:main"
URL = "https://sqs.eu-west-1.amazonaws.com/123456789012/main"
LOCAL = "http://localhost:9324/000000000000/main"

SAME = [
    (URL, URL),
    (URL, f"{URL}/"),
    (URL, ARN),
    (URL, "main"),
    ("main", ARN),
    (URL, "http://sqs.eu-west-1.amazonaws.com/123456789012/main"),
    (URL, "https://SQS.eu-west-1.amazonaws.com:443/123456789012/main"),
    (URL, "https://eu-west-1.queue.amazonaws.com/123456789012/main"),
    (URL, "https://sqs-fips.eu-west-1.amazonaws.com/123456789012/main"),
    (URL, "https://sqs.eu-west-1.api.aws/123456789012/main"),
    (URL, "https://vpce-0a-1b.sqs.eu-west-1.vpce.amazonaws.com/123456789012/main"),
    (URL, "https://sqs-proxy.internal/123456789012/main"),
    (
        "https://queue.amazonaws.com/123456789012/main",
        "https://sqs.us-east-1.amazonaws.com/123456789012/main",
    ),
    (
        "https://cn-north-1.queue.amazonaws.com.cn/123456789012/main",
        "arn:aws-cn:sqs:cn-north-1:123456789012:main",
    ),
    (LOCAL, "http://127.0.0.1:9324/000000000000/main"),
    (LOCAL, "http://[::1]:9324/000000000000/main/"),
    (LOCAL, "arn:aws:sqs:us-east-1:000000000000:main"),
]
DIFFERENT = [
    (URL, f"{URL}-dlq"),
    (URL, "dead"),
    (URL, "https://sqs.eu-west-1.amazonaws.com/210987654321/main"),
    (URL, "https://sqs.eu-west-2.amazonaws.com/123456789012/main"),
    (ARN, "arn:aws:sqs:eu-west-1:210987654321:main"),
    (ARN, "https://eu-west-2.queue.amazonaws.com/123456789012/main"),
    ("main", "Main"),
    ("main.fifo", "main"),
    (LOCAL, "http://localhost:9325/000000000000/main"),
]


@pytest.mark.parametrize(("queue", "dlq"), SAME)
def test_the_queue_is_refused(queue: str, dlq: str) -> None:
    for one, other in ((queue, dlq), (dlq, queue)):
        assert same_queue(one, other)
        loaded = load({"RELAY_QUEUE_URL": one, "RELAY_DLQ_URL": other})
        (mistake,) = loaded.errors
        assert mistake.startswith("RELAY_DLQ_URL is the queue of RELAY_QUEUE_URL")
        assert loaded.settings.dlq_url is None
        assert loaded.settings.queue_url == one


@pytest.mark.parametrize(("queue", "dlq"), DIFFERENT)
def test_another_queue_is_accepted(queue: str, dlq: str) -> None:
    assert not same_queue(queue, dlq)
    assert load({"RELAY_QUEUE_URL": queue, "RELAY_DLQ_URL": dlq}).errors == ()


@pytest.mark.parametrize("text", ["", "https://", "http://[", "arn:aws:sqs", "a b/c", "arn:::::"])
def test_what_is_no_reference_is_no_queue(text: str) -> None:
    assert not same_queue(text, text)
