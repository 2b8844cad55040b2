"""SendMessage and SendMessageBatch."""

from __future__ import annotations

from typing import Any

from relay.local.sqs.actions.batch import run_batch
from relay.local.sqs.actions.call import Call
from relay.local.sqs.errors import SqsError
from relay.local.sqs.intake import accept, draft_size
from relay.local.sqs.parameters import Draft, SendMessage, SendMessageBatch
from relay.local.sqs.queue import Queue

MAX_BATCH_BYTES = 1_048_576


def send_message(call: Call, wanted: SendMessage) -> dict[str, Any]:
    """Take one message in."""
    return _send(call, call.queue(wanted.queue_url), wanted)


def send_message_batch(call: Call, wanted: SendMessageBatch) -> dict[str, Any]:
    """Take up to ten messages in, each on its own; together they are a megabyte at most."""
    queue = call.queue(wanted.queue_url)
    size = sum(draft_size(entry) for entry in wanted.entries)
    if size > MAX_BATCH_BYTES:
        raise SqsError(
            "BatchRequestTooLong",
            f"Batch requests cannot be longer than {MAX_BATCH_BYTES} bytes. "
            f"You have sent {size} bytes.",
        )
    return run_batch(call, wanted.entries, lambda entry: _send(call, queue, entry))


def _send(call: Call, queue: Queue, draft: Draft) -> dict[str, Any]:
    stored = accept(draft, queue.attributes, call.account.clock.time())
    delay = None if queue.fifo or draft.delay_seconds is None else float(draft.delay_seconds)
    if queue.add(stored, delay) and call.fault.duplicate:
        queue.duplicate(stored)
    answer = {
        "MessageId": stored.message_id,
        "MD5OfMessageBody": stored.md5_of_body,
        "MD5OfMessageAttributes": stored.md5_of_attributes,
        "MD5OfMessageSystemAttributes": stored.md5_of_system_attributes,
        "SequenceNumber": stored.sequence_number,
    }
    return {name: value for name, value in answer.items() if value is not None}
