"""A queue's attributes, tags and permissions."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from relay.local.sqs import parameters as p
from relay.local.sqs.actions.call import Call
from relay.local.sqs.attributes import COMPUTED, SETTABLE
from relay.local.sqs.errors import SqsError, invalid, invalid_value
from relay.local.sqs.moves import MoveTask
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


MAX_PAGE = 1_000


def create_queue(call: Call, wanted: p.CreateQueue) -> dict[str, Any]:
    """Make a queue, or name the one that is there with the same attributes."""
    queue = call.account.create(wanted.queue_name, wanted.attributes, wanted.tags)
    return {"QueueUrl": call.account.url_of(queue)}


def get_queue_url(call: Call, wanted: p.GetQueueUrl) -> dict[str, Any]:
    """The URL of a queue by its name."""
    return {"QueueUrl": call.account.url_of(call.account.by_name(wanted.queue_name))}


def list_queues(call: Call, wanted: p.ListQueues) -> dict[str, Any]:
    """The URLs of queues by prefix, in pages when a size is given."""
    queues = [q for n, q in call.account.queues.items() if n.startswith(wanted.queue_name_prefix)]
    return _page(call, queues, "QueueUrls", wanted.max_results, wanted.next_token)


def list_sources(call: Call, wanted: p.ListDeadLetterSourceQueues) -> dict[str, Any]:
    """The URLs of the queues whose dead letters come here. The service spells this key small."""
    queues = call.account.sources_of(call.queue(wanted.queue_url))
    return {
        "queueUrls": [],
        **_page(call, queues, "queueUrls", wanted.max_results, wanted.next_token),
    }


def delete_queue(call: Call, wanted: p.OfQueue) -> None:
    """Remove a queue with everything in it."""
    call.account.delete(call.queue(wanted.queue_url))


def purge_queue(call: Call, wanted: p.OfQueue) -> None:
    """Empty a queue."""
    call.account.purge(call.queue(wanted.queue_url))


def _page(
    call: Call, queues: Sequence[Queue], key: str, size: int | None, token: str | None
) -> dict[str, Any]:
    """A page of URLs in the order of names. The token is the last name of the page before."""
    if size is None and token is not None:
        raise invalid("MaxResults must be set when NextToken is.")
    if size is not None and not 1 <= size <= MAX_PAGE:
        raise invalid_value("MaxResults", size, "Must be between 1 and 1000, if provided.")
    rest = sorted((q for q in queues if q.name > (token or "")), key=lambda q: q.name)
    page = rest[: size or MAX_PAGE]
    answer: dict[str, Any] = {key: [call.account.url_of(q) for q in page]} if page else {}
    if size is not None and len(rest) > size:
        answer["NextToken"] = page[-1].name
    return answer


MAX_TASKS = 10


def start_move(call: Call, wanted: p.StartMessageMoveTask) -> dict[str, Any]:
    """Start to move dead letters."""
    rate = wanted.max_number_of_messages_per_second
    return {"TaskHandle": call.moves.start(wanted.source_arn, wanted.destination_arn, rate).handle}


def list_moves(call: Call, wanted: p.ListMessageMoveTasks) -> dict[str, Any]:
    """The newest tasks of a queue, by default one."""
    count = 1 if wanted.max_results is None else wanted.max_results
    if not 1 <= count <= MAX_TASKS:
        raise invalid(f"Value {count} for parameter MaxResults is invalid.")
    return {"Results": [_shown(task) for task in call.moves.latest(wanted.source_arn, count)]}


def cancel_move(call: Call, wanted: p.CancelMessageMoveTask) -> dict[str, Any]:
    """Stop a running task and tell how far it came."""
    task = call.moves.cancel(wanted.task_handle)
    return {"ApproximateNumberOfMessagesMoved": task.moved}


def _shown(task: MoveTask) -> dict[str, Any]:
    shown = {
        "TaskHandle": task.handle if task.status == "RUNNING" else None,
        "Status": task.status,
        "SourceArn": task.source.arn,
        "DestinationArn": task.destination,
        "MaxNumberOfMessagesPerSecond": task.rate,
        "ApproximateNumberOfMessagesMoved": task.moved,
        "ApproximateNumberOfMessagesToMove": task.to_move,
        "FailureReason": task.failure,
        "StartedTimestamp": int(task.started_at * 1_000),
    }
    return {name: value for name, value in shown.items() if value is not None}
