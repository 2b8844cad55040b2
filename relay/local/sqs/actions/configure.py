"""A queue's attributes, tags and permissions."""

from __future__ import annotations

import json
from typing import Any

from relay.local.sqs import parameters as p
from relay.local.sqs.actions.call import Call
from relay.local.sqs.attributes import COMPUTED, SETTABLE
from relay.local.sqs.errors import SqsError, invalid_value
from relay.local.sqs.queue import Queue

_ALL = "All"


def get_attributes(call: Call, wanted: p.GetQueueAttributes) -> dict[str, Any]:
    """The attributes asked for, or all of them; those that were never set are left out."""
    queue = call.queue(wanted.queue_url)
    names = set(wanted.attribute_names)
    for name in sorted(names - SETTABLE - COMPUTED - {_ALL}):
        raise SqsError("InvalidAttributeName", f"Unknown Attribute {name}.")
    known = described(queue)
    chosen = known if _ALL in names else {k: v for k, v in known.items() if k in names}
    return {"Attributes": chosen} if chosen else {}


def described(queue: Queue) -> dict[str, str]:
    """Every attribute that the queue has."""
    visible, in_flight, delayed = queue.counts()
    return {
        **queue.attributes.values,
        "QueueArn": queue.arn,
        "CreatedTimestamp": str(int(queue.created_at)),
        "LastModifiedTimestamp": str(int(queue.modified_at)),
        "ApproximateNumberOfMessages": str(visible),
        "ApproximateNumberOfMessagesNotVisible": str(in_flight),
        "ApproximateNumberOfMessagesDelayed": str(delayed),
    }


def set_attributes(call: Call, wanted: p.SetQueueAttributes) -> None:
    """Change attributes at once; SQS takes up to a minute."""
    call.account.configure(call.queue(wanted.queue_url), wanted.attributes)


def tag_queue(call: Call, wanted: p.TagQueue) -> None:
    """Add tags or replace their values."""
    call.queue(wanted.queue_url).tags.update(wanted.tags)


def untag_queue(call: Call, wanted: p.UntagQueue) -> None:
    """Take tags away."""
    tags = call.queue(wanted.queue_url).tags
    for key in wanted.tag_keys:
        tags.pop(key, None)


def list_tags(call: Call, wanted: p.OfQueue) -> dict[str, Any]:
    """All tags."""
    tags = call.queue(wanted.queue_url).tags
    return {"Tags": tags} if tags else {}


def add_permission(call: Call, wanted: p.AddPermission) -> None:
    """Note a statement in the queue's policy. Nothing is enforced."""
    queue = call.queue(wanted.queue_url)
    policy = _policy(queue)
    if any(statement.get("Sid") == wanted.label for statement in policy["Statement"]):
        raise invalid_value("Label", wanted.label, "Already exists.")
    policy["Statement"].append(
        {
            "Sid": wanted.label,
            "Effect": "Allow",
            "Principal": {"AWS": [f"arn:aws:iam::{i}:root" for i in wanted.account_ids]},
            "Action": [f"SQS:{action}" for action in wanted.actions],
            "Resource": queue.arn,
        }
    )
    call.account.configure(queue, {"Policy": json.dumps(policy)})


def remove_permission(call: Call, wanted: p.RemovePermission) -> None:
    """Take a statement out of the queue's policy."""
    queue = call.queue(wanted.queue_url)
    policy = _policy(queue)
    kept = [s for s in policy["Statement"] if s.get("Sid") != wanted.label]
    if len(kept) == len(policy["Statement"]):
        raise invalid_value("Label", wanted.label, "can't find label.")
    changed = json.dumps({**policy, "Statement": kept}) if kept else ""
    call.account.configure(queue, {"Policy": changed})


def _policy(queue: Queue) -> dict[str, Any]:
    empty: dict[str, Any] = {
        "Version": "2012-10-17",
        "Id": f"{queue.arn}/SQSDefaultPolicy",
        "Statement": [],
    }
    return {**empty, **json.loads(queue.attributes.values.get("Policy", "{}"))}
