"""Receipt handles: delete a message by its handle, or change its visibility timeout."""

from __future__ import annotations

import base64
import binascii
from typing import NamedTuple

from relay.local.sqs.errors import SqsError, bad_handle, invalid, invalid_value
from relay.local.sqs.queue import Queue
from relay.local.sqs.stored import Stored

MAX_VISIBILITY = 43_200  # seconds from the receive, extensions included
_PARTS = 4


class Handle(NamedTuple):
    """A decoded receipt handle: the queue, the copy of the message, and the receive of it."""

    queue: str
    serial: int
    receipt: int
    message_id: str

    def __str__(self) -> str:
        text = f"{self.queue}/{self.serial}/{self.receipt}/{self.message_id}"
        return base64.b64encode(text.encode()).decode()


def read_handle(text: str) -> Handle:
    """Decode a handle.

    Raises:
        SqsError: ReceiptHandleIsInvalid, if it was not made by this server.
    """
    try:
        parts = base64.b64decode(text, validate=True).decode().split("/")
        if len(parts) != _PARTS:
            raise bad_handle(text)
        return Handle(parts[0], int(parts[1]), int(parts[2]), parts[3])
    except (binascii.Error, ValueError) as error:
        raise bad_handle(text) from error


class Expired(SqsError):
    """A stale handle on a FIFO queue. Batches report it with a different code."""


def handle_of(queue: Queue, stored: Stored) -> str:
    """The receipt handle of a message's latest receive."""
    return str(Handle(queue.name, stored.serial, stored.receipt, stored.message_id))


def delete(queue: Queue, text: str) -> None:
    """Delete the message of a handle; succeeds if the message is already gone.

    A handle is stale once its visibility timeout has ended or the message was received again. A
    standard queue deletes by a stale handle too, as AWS was seen to do, although the API reference
    promises only that the request succeeds. On a FIFO queue a stale handle is an error.

    Raises:
        SqsError: the handle is not this queue's, or it is stale and the queue is FIFO.
    """
    handle = _read(queue, text)
    stored = queue.copy(handle.serial)
    if stored is None:
        return
    if queue.fifo and not _is_held(stored, handle):
        raise _expired(text)
    queue.forget(stored)


def change_visibility(queue: Queue, text: str, seconds: int) -> None:
    """Make the message visible `seconds` from now, at once with 0.

    On a standard queue the handle of an earlier receive serves as well. A message that is visible
    again stays visible, as nothing promises that it is hidden once more; the request succeeds.

    Raises:
        SqsError: the message is gone, the handle is stale and the queue is FIFO, or the timeout
            would end more than twelve hours after the receive: it is not shortened to what is left.
    """
    check_visibility(seconds)
    handle = _read(queue, text)
    stored = queue.copy(handle.serial)
    now = queue.tick()
    if stored is None:
        raise _unavailable(text)
    if queue.fifo and not _is_held(stored, handle):
        raise _expired(text)
    if stored.state != "in_flight":
        return
    if now + seconds - stored.received_at > MAX_VISIBILITY:
        raise invalid_value(
            "VisibilityTimeout",
            seconds,
            "Total VisibilityTimeout for the message is beyond the limit [43200 seconds]",
        )
    queue.hold(stored, now + seconds)


def expire(queue: Queue, text: str) -> None:
    """End the visibility timeout of this handle's message; makes the handle stale."""
    handle = _read(queue, text)
    stored = queue.copy(handle.serial)
    if stored is not None and _is_held(stored, handle):
        queue.expire(stored)


def held(queue: Queue, text: str) -> Stored | None:
    """The in-flight message of this handle, or None if the handle is stale."""
    handle = _read(queue, text)
    stored = queue.copy(handle.serial)
    return stored if stored is not None and _is_held(stored, handle) else None


def check_visibility(seconds: int) -> None:
    """Reject a visibility timeout that is out of range."""
    if not 0 <= seconds <= MAX_VISIBILITY:
        raise invalid_value("VisibilityTimeout", seconds, "Must be between 0 and 43200.")


def _read(queue: Queue, text: str) -> Handle:
    handle = read_handle(text)
    if handle.queue != queue.name:
        raise bad_handle(text)
    return handle


def _is_held(stored: Stored, handle: Handle) -> bool:
    return stored.receipt == handle.receipt and stored.state == "in_flight"


def _expired(text: str) -> SqsError:
    return Expired(
        "InvalidParameterValueException",
        f"Value {text} for parameter ReceiptHandle is invalid. "
        "Reason: The receipt handle has expired.",
    )


def _unavailable(text: str) -> SqsError:
    return invalid(
        f"Value {text} for parameter ReceiptHandle is invalid. Reason: Message does not exist or "
        "is not available for visibility timeout change."
    )
