"""Everything in every queue as JSON values: for a judge in another process."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from relay.local.sqs.account import Account
from relay.local.sqs.actions.configure import described
from relay.local.sqs.actions.receive import system_attributes
from relay.local.sqs.stored import Stored


def state_of(account: Account, requests: Mapping[str, int]) -> dict[str, Any]:
    """All queues with all messages, received by nobody, and how often each action was called.

    A message has its `MessageId`, `Body`, `MessageAttributes`, system `Attributes`, its `State`
    (`visible`, `in_flight` or `delayed`) and, unless visible, `VisibleAt` in seconds.
    """
    return {
        "Queues": [
            {
                "QueueName": queue.name,
                "QueueUrl": account.url_of(queue),
                "Attributes": described(queue),
                "Messages": [_shown(stored, account.id) for stored in queue.messages()],
            }
            for queue in account.queues.values()
        ],
        "Requests": dict(requests),
    }


def _shown(stored: Stored, sender: str) -> dict[str, Any]:
    shown: dict[str, Any] = {
        "MessageId": stored.message_id,
        "Body": stored.body,
        "MessageAttributes": stored.attributes,
        "Attributes": system_attributes(stored, sender),
        "State": stored.state,
    }
    if stored.state != "visible":
        shown["VisibleAt"] = stored.visible_at
    return shown
