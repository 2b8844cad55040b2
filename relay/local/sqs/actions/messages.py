"""The actions on messages: send, receive, delete and change the visibility timeout."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping, Sequence
from typing import Any, TypeAlias

from relay.local.sqs import leases
from relay.local.sqs.actions.call import Call, run_batch
from relay.local.sqs.errors import SqsError, invalid_value, missing
from relay.local.sqs.leases import check_visibility, handle_of
from relay.local.sqs.parameters import (
    AttributeValue,
    ChangeMessageVisibility,
    ChangeMessageVisibilityBatch,
    DeleteMessage,
    DeleteMessageBatch,
    Draft,
    ReceiveMessage,
    SendMessage,
    SendMessageBatch,
    VisibilityEntry,
)
from relay.local.sqs.queue import Queue
from relay.local.sqs.stored import Stored, md5_of_attributes, system_attributes
from relay.local.sqs.validation import accept, check_fifo_ids, check_token, draft_size

MAX_BATCH_BYTES = 1_048_576
MAX_MESSAGES, MAX_WAIT = 10, 20
_ALL = frozenset({"All", "*", ".*"})  # names that request every message attribute
Answer: TypeAlias = dict[str, Any]


def send_message(call: Call, request: SendMessage) -> dict[str, Any]:
    """Add one message."""
    return _send(call, call.queue(request.queue_url), request)


def send_message_batch(call: Call, request: SendMessageBatch) -> dict[str, Any]:
    """Add up to ten messages, each on its own; together they may have one megabyte.

    On a FIFO queue, an entry without a group or deduplication id fails the whole batch.
    """
    queue = call.queue(request.queue_url)
    size = sum(draft_size(entry) for entry in request.entries)
    if size > MAX_BATCH_BYTES:
        raise SqsError(
            "BatchRequestTooLong",
            f"Batch requests cannot be longer than {MAX_BATCH_BYTES} bytes. "
            f"You have sent {size} bytes.",
        )
    if queue.fifo:
        for entry in request.entries:
            check_fifo_ids(entry, queue.attributes)
    return run_batch(call, request.entries, lambda entry: _send(call, queue, entry))


def _send(call: Call, queue: Queue, draft: Draft) -> dict[str, Any]:
    stored = accept(draft, queue.attributes, call.account.clock.time())
    if stored.trace_header is None:
        stored.trace_header = call.trace_header
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


def receive_message(call: Call, request: ReceiveMessage) -> Answer | Coroutine[Any, Any, Answer]:
    """Receive what is visible now; if nothing is, return a coroutine that polls."""
    queue = call.queue(request.queue_url)
    _check(queue, request)
    taken = _take(queue, request)
    wait = queue.attributes.wait
    if request.wait_time_seconds is not None:
        wait = float(request.wait_time_seconds)
    if taken or not wait:
        return _answer(call, queue, request, taken)
    return _poll(call, queue, request, call.account.clock.time() + wait)


async def _poll(call: Call, queue: Queue, request: ReceiveMessage, deadline: float) -> Answer:
    clock = call.account.clock
    while True:
        pause = min(deadline, queue.next_change()) - clock.time()
        await queue.waiters.wait(clock, max(pause, 0.0))
        taken = _take(queue, request)
        if taken or clock.time() >= deadline:
            return _answer(call, queue, request, taken)


def _take(queue: Queue, request: ReceiveMessage) -> list[Stored]:
    seconds = request.visibility_timeout
    visibility = queue.attributes.visibility if seconds is None else float(seconds)
    attempt = request.receive_request_attempt_id
    if attempt is not None and (again := queue.attempts.repeat(queue, attempt, visibility)):
        return again
    taken = queue.take(request.max_number_of_messages or 1, visibility)
    if attempt is not None and taken:
        queue.attempts.remember(queue, attempt, taken)
    return taken


def _check(queue: Queue, request: ReceiveMessage) -> None:
    count, wait = request.max_number_of_messages, request.wait_time_seconds
    if count is not None and not 1 <= count <= MAX_MESSAGES:
        raise invalid_value("MaxNumberOfMessages", count, "Must be between 1 and 10, if provided.")
    if wait is not None and not 0 <= wait <= MAX_WAIT:
        raise invalid_value("WaitTimeSeconds", wait, "Must be >= 0 and <= 20, if provided.")
    if request.visibility_timeout is not None:
        check_visibility(request.visibility_timeout)
    check_token("ReceiveRequestAttemptId", request.receive_request_attempt_id)
    if request.receive_request_attempt_id is not None and not queue.fifo:
        raise invalid_value(
            "ReceiveRequestAttemptId",
            request.receive_request_attempt_id,
            "The request include parameter that is not valid for this queue type.",
        )


def _answer(call: Call, queue: Queue, request: ReceiveMessage, taken: list[Stored]) -> Answer:
    system = {*request.attribute_names, *request.message_system_attribute_names}
    shown = [
        _shown(queue, stored, system, request.message_attribute_names, call.account.id)
        for stored in taken
    ]
    for stored in taken:
        if call.fault.stale:
            queue.expire(stored)
        if call.fault.duplicate:
            queue.duplicate(stored)
    return {"Messages": shown} if shown else {}


def _shown(
    queue: Queue, stored: Stored, system: set[str], names: Sequence[str], sender: str
) -> Answer:
    message: Answer = {
        "MessageId": stored.message_id,
        "ReceiptHandle": handle_of(queue, stored),
        "MD5OfBody": stored.md5_of_body,
        "Body": stored.body,
    }
    if system:
        all_ = system_attributes(stored, sender)
        message["Attributes"] = (
            all_ if "All" in system else {k: v for k, v in all_.items() if k in system}
        )
    if names and stored.attributes:
        _show_attributes(message, stored, names)
    return message


def _show_attributes(message: Answer, stored: Stored, names: Sequence[str]) -> None:
    chosen = _chosen(stored.attributes, names)
    if chosen:
        whole = len(chosen) == len(stored.attributes)
        message["MessageAttributes"] = chosen
        message["MD5OfMessageAttributes"] = (
            stored.md5_of_attributes if whole else md5_of_attributes(chosen)
        )


def _chosen(
    attributes: Mapping[str, AttributeValue], names: Sequence[str]
) -> Mapping[str, AttributeValue]:
    if not _ALL.isdisjoint(names):
        return attributes
    prefixes = tuple(name.removesuffix(".*") for name in names if name.endswith(".*"))
    return {
        name: value
        for name, value in attributes.items()
        if name in names or (prefixes and name.startswith(prefixes))
    }


def delete_message(call: Call, request: DeleteMessage) -> None:
    """Delete one message."""
    _delete(call, call.queue(request.queue_url), request.receipt_handle)


def delete_message_batch(call: Call, request: DeleteMessageBatch) -> dict[str, Any]:
    """Delete up to ten messages, each on its own."""
    queue = call.queue(request.queue_url)
    return run_batch(
        call,
        request.entries,
        lambda entry: _in_batch(lambda: _delete(call, queue, entry.receipt_handle)),
    )


def change_visibility(call: Call, request: ChangeMessageVisibility) -> None:
    """Change the visibility timeout of one message."""
    queue = call.queue(request.queue_url)
    _change(call, queue, request.receipt_handle, request.visibility_timeout)


def change_visibility_batch(call: Call, request: ChangeMessageVisibilityBatch) -> dict[str, Any]:
    """Change the visibility timeouts of up to ten messages, each on its own."""
    queue = call.queue(request.queue_url)

    def change(entry: VisibilityEntry) -> None:
        seconds = entry.visibility_timeout
        if seconds is None:
            raise missing("VisibilityTimeout")
        _in_batch(lambda: _change(call, queue, entry.receipt_handle, seconds))

    return run_batch(call, request.entries, change)


def _in_batch(act: Callable[[], None]) -> None:
    try:
        act()
    except leases.Expired as error:
        raise SqsError("ReceiptHandleIsInvalid", "The receipt handle has expired") from error


def _delete(call: Call, queue: Queue, handle: str) -> None:
    if call.fault.stale:
        leases.expire(queue, handle)
    stored = leases.held(queue, handle) if call.fault.duplicate else None
    if stored is not None:
        queue.duplicate(stored)
    leases.delete(queue, handle)


def _change(call: Call, queue: Queue, handle: str, seconds: int) -> None:
    if call.fault.stale:
        leases.expire(queue, handle)
    leases.change_visibility(queue, handle, seconds)
