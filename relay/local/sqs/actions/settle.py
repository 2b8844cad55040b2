"""DeleteMessage and ChangeMessageVisibility, single and in batches."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from relay.local.sqs import leases
from relay.local.sqs.actions.batch import run_batch
from relay.local.sqs.actions.call import Call
from relay.local.sqs.errors import SqsError, missing
from relay.local.sqs.parameters import (
    ChangeMessageVisibility,
    ChangeMessageVisibilityBatch,
    DeleteMessage,
    DeleteMessageBatch,
    VisibilityEntry,
)
from relay.local.sqs.queue import Queue


def delete_message(call: Call, wanted: DeleteMessage) -> None:
    """Delete one message."""
    _delete(call, call.queue(wanted.queue_url), wanted.receipt_handle)


def delete_message_batch(call: Call, wanted: DeleteMessageBatch) -> dict[str, Any]:
    """Delete up to ten messages, each on its own."""
    queue = call.queue(wanted.queue_url)
    return run_batch(
        call,
        wanted.entries,
        lambda entry: _in_batch(lambda: _delete(call, queue, entry.receipt_handle)),
    )


def change_visibility(call: Call, wanted: ChangeMessageVisibility) -> None:
    """Hold one message longer or shorter."""
    queue = call.queue(wanted.queue_url)
    _change(call, queue, wanted.receipt_handle, wanted.visibility_timeout)


def change_visibility_batch(call: Call, wanted: ChangeMessageVisibilityBatch) -> dict[str, Any]:
    """Hold up to ten messages longer or shorter, each on its own."""
    queue = call.queue(wanted.queue_url)

    def change(entry: VisibilityEntry) -> None:
        seconds = entry.visibility_timeout
        if seconds is None:
            raise missing("VisibilityTimeout")
        _in_batch(lambda: _change(call, queue, entry.receipt_handle, seconds))

    return run_batch(call, wanted.entries, change)


def _in_batch(act: Callable[[], None]) -> None:
    try:
        act()
    except leases.Expired as error:
        raise SqsError("ReceiptHandleIsInvalid", "The receipt handle has expired") from error


def _delete(call: Call, queue: Queue, handle: str) -> None:
    if call.fault.stale:
        leases.lapse(queue, handle)
    stored = leases.held(queue, handle) if call.fault.duplicate else None
    if stored is not None:
        queue.duplicate(stored)
    leases.delete(queue, handle)


def _change(call: Call, queue: Queue, handle: str, seconds: int) -> None:
    if call.fault.stale:
        leases.lapse(queue, handle)
    leases.change_visibility(queue, handle, seconds)
