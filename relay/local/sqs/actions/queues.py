"""The actions on queues: create, find, list, configure, tag, purge, delete, and move tasks."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from relay.local.sqs import parameters as p
from relay.local.sqs.account import Account
from relay.local.sqs.actions.call import Call
from relay.local.sqs.attributes import COMPUTED, SETTABLE
from relay.local.sqs.errors import SqsError, invalid, invalid_value
from relay.local.sqs.moves import MoveTask
from relay.local.sqs.queue import Queue
from relay.local.sqs.stored import Stored, system_attributes

MAX_PAGE = 1_000
MAX_TASKS = 10
_ALL = "All"


def get_attributes(call: Call, request: p.GetQueueAttributes) -> dict[str, Any]:
    """The requested attributes, or all; attributes that were never set are left out."""
    queue = call.queue(request.queue_url)
    names = set(request.attribute_names)
    for name in sorted(names - SETTABLE - COMPUTED - {_ALL}):
        raise SqsError("InvalidAttributeName", f"Unknown Attribute {name}.")
    all_ = described(queue)
    chosen = all_ if _ALL in names else {k: v for k, v in all_.items() if k in names}
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


def set_attributes(call: Call, request: p.SetQueueAttributes) -> None:
    """Change attributes, effective at once; SQS takes up to a minute."""
    call.account.configure(call.queue(request.queue_url), request.attributes)


def tag_queue(call: Call, request: p.TagQueue) -> None:
    """Add tags or replace their values."""
    call.queue(request.queue_url).tags.update(request.tags)


def untag_queue(call: Call, request: p.UntagQueue) -> None:
    """Remove tags."""
    tags = call.queue(request.queue_url).tags
    for key in request.tag_keys:
        tags.pop(key, None)


def list_tags(call: Call, request: p.QueueRequest) -> dict[str, Any]:
    """All tags."""
    tags = call.queue(request.queue_url).tags
    return {"Tags": tags} if tags else {}


def add_permission(call: Call, request: p.AddPermission) -> None:
    """Add a statement to the queue's policy. Nothing is enforced."""
    queue = call.queue(request.queue_url)
    policy = _policy(queue)
    if any(statement.get("Sid") == request.label for statement in policy["Statement"]):
        raise invalid_value("Label", request.label, "Already exists.")
    policy["Statement"].append(
        {
            "Sid": request.label,
            "Effect": "Allow",
            "Principal": {"AWS": _plain([f"arn:aws:iam::{i}:root" for i in request.account_ids])},
            "Action": _plain([f"SQS:{action}" for action in request.actions]),
            "Resource": queue.arn,
        }
    )
    call.account.configure(queue, {"Policy": json.dumps(policy)})


def remove_permission(call: Call, request: p.RemovePermission) -> None:
    """Remove a statement from the queue's policy."""
    queue = call.queue(request.queue_url)
    policy = _policy(queue)
    kept = [s for s in policy["Statement"] if s.get("Sid") != request.label]
    if len(kept) == len(policy["Statement"]):
        raise invalid_value("Label", request.label, "can't find label.")
    changed = json.dumps({**policy, "Statement": kept}) if kept else ""
    call.account.configure(queue, {"Policy": changed})


def _policy(queue: Queue) -> dict[str, Any]:
    empty: dict[str, Any] = {
        "Version": "2008-10-17",
        "Id": f"{queue.arn}/SQSDefaultPolicy",
        "Statement": [],
    }
    return {**empty, **json.loads(queue.attributes.values.get("Policy", "{}"))}


def _plain(values: Sequence[str]) -> str | Sequence[str]:
    """A list of one as its member, which is how SQS writes a policy."""
    return values[0] if len(values) == 1 else values


def create_queue(call: Call, request: p.CreateQueue) -> dict[str, Any]:
    """Create a queue, or return the URL of an existing one with the same attributes."""
    queue = call.account.create(request.queue_name, request.attributes, request.tags)
    return {"QueueUrl": call.url_of(queue)}


def get_queue_url(call: Call, request: p.GetQueueUrl) -> dict[str, Any]:
    """The URL of a queue by its name."""
    return {"QueueUrl": call.url_of(call.account.by_name(request.queue_name))}


def list_queues(call: Call, request: p.ListQueues) -> dict[str, Any]:
    """The URLs of queues by prefix, in pages if a size is given."""
    queues = [q for n, q in call.account.queues.items() if n.startswith(request.queue_name_prefix)]
    return _page(call, queues, "QueueUrls", request.max_results, request.next_token)


def list_sources(call: Call, request: p.ListDeadLetterSourceQueues) -> dict[str, Any]:
    """The URLs of the queues that use this one as dead-letter queue.

    The API spells the key `queueUrls` with a lowercase q.
    """
    queues = call.account.sources_of(call.queue(request.queue_url))
    return {
        "queueUrls": [],
        **_page(call, queues, "queueUrls", request.max_results, request.next_token),
    }


def delete_queue(call: Call, request: p.QueueRequest) -> None:
    """Delete a queue with its messages."""
    call.account.delete(call.queue(request.queue_url))


def purge_queue(call: Call, request: p.QueueRequest) -> None:
    """Delete all messages of a queue."""
    call.account.purge(call.queue(request.queue_url))


def _page(
    call: Call, queues: Sequence[Queue], key: str, size: int | None, token: str | None
) -> dict[str, Any]:
    """A page of URLs, ordered by name. The token is the last name of the previous page."""
    if size is None and token is not None:
        raise invalid("MaxResults must be set when NextToken is.")
    if size is not None and not 1 <= size <= MAX_PAGE:
        raise invalid_value("MaxResults", size, "Must be between 1 and 1000, if provided.")
    rest = sorted((q for q in queues if q.name > (token or "")), key=lambda q: q.name)
    page = rest[: size or MAX_PAGE]
    answer: dict[str, Any] = {key: [call.url_of(q) for q in page]} if page else {}
    if size is not None and len(rest) > size:
        answer["NextToken"] = page[-1].name
    return answer


def start_move(call: Call, request: p.StartMessageMoveTask) -> dict[str, Any]:
    """Start moving dead letters."""
    rate = request.max_number_of_messages_per_second
    return {
        "TaskHandle": call.moves.start(request.source_arn, request.destination_arn, rate).handle
    }


def list_moves(call: Call, request: p.ListMessageMoveTasks) -> dict[str, Any]:
    """The latest tasks of a queue, by default one."""
    count = 1 if request.max_results is None else request.max_results
    if not 1 <= count <= MAX_TASKS:
        raise invalid(f"Value {count} for parameter MaxResults is invalid.")
    return {"Results": [_shown(task) for task in call.moves.latest(request.source_arn, count)]}


def cancel_move(call: Call, request: p.CancelMessageMoveTask) -> dict[str, Any]:
    """Stop a running task and return how many messages it moved."""
    task = call.moves.cancel(request.task_handle)
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


def state_of(account: Account, requests: Mapping[str, int]) -> dict[str, Any]:
    """All queues with all messages, without receiving any, and the number of calls by action.

    A message has its `MessageId`, `Body`, `MessageAttributes`, system `Attributes`, its `State`
    (`visible`, `in_flight` or `delayed`) and, unless visible, `VisibleAt` in seconds.
    """
    return {
        "Queues": [
            {
                "QueueName": queue.name,
                "QueueUrl": account.url_of(queue),
                "Attributes": described(queue),
                "Messages": [_view(stored, account.id) for stored in queue.messages()],
            }
            for queue in account.queues.values()
        ],
        "Requests": dict(requests),
    }


def _view(stored: Stored, sender: str) -> dict[str, Any]:
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
