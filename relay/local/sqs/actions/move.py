"""StartMessageMoveTask, ListMessageMoveTasks and CancelMessageMoveTask."""

from __future__ import annotations

from typing import Any

from relay.local.sqs import parameters as p
from relay.local.sqs.actions.call import Call
from relay.local.sqs.errors import invalid
from relay.local.sqs.moves import MoveTask

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
