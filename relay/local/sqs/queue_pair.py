"""A queue with its dead-letter queue, with the retention and redrive policy of a deployment."""

from __future__ import annotations

import json

from relay.local.sqs.account import Account
from relay.local.sqs.queue import Queue
from relay.settings.clocks import DLQ_RETENTION, MAX_RECEIVE_COUNT, QUEUE_RETENTION

FIFO = ".fifo"
VISIBILITY = 60
"""Seconds; `relay poll` extends it while a message is in flight."""


def create_pair(
    account: Account, name: str, *, visibility: int = VISIBILITY
) -> tuple[Queue, Queue]:
    """Create the queue and `<name>-dlq`. Both are FIFO queues if the name ends in `.fifo`.

    Raises:
        SqsError: the name is not allowed, or taken by a queue with other attributes.
    """
    stem, fifo = name.removesuffix(FIFO), {"FifoQueue": "true"} if name.endswith(FIFO) else {}
    suffix = FIFO if fifo else ""
    retention = {"MessageRetentionPeriod": str(int(DLQ_RETENTION))}
    dlq = account.create(f"{stem}-dlq{suffix}", {**retention, **fifo}, {})
    policy = {"deadLetterTargetArn": dlq.arn, "maxReceiveCount": MAX_RECEIVE_COUNT}
    attributes = {
        "MessageRetentionPeriod": str(int(QUEUE_RETENTION)),
        "VisibilityTimeout": str(visibility),
        "RedrivePolicy": json.dumps(policy),
    }
    return account.create(name, {**attributes, **fifo}, {}), dlq
