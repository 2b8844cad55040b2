"""What a receipt handle is good for: deleting a message, and holding it longer or shorter."""

from __future__ import annotations

import base64
import binascii
from typing import NamedTuple

from relay.local.sqs.errors import SqsError, bad_handle, invalid, invalid_value
from relay.local.sqs.queue import Queue
from relay.local.sqs.stored import Stored

_PARTS = 4


class Handle(NamedTuple):
    """What a receipt handle says: which queue, which copy of a message, which receive of it."""

    queue: str
    serial: int
    receipt: int
    message_id: str

    def __str__(self) -> str:
        text = f"{self.queue}/{self.serial}/{self.receipt}/{self.message_id}"
        return base64.b64encode(text.encode()).decode()


def read_handle(text: str) -> Handle:
    """Take a handle apart.

    Raises:
        SqsError: ReceiptHandleIsInvalid, when no queue of ours made it.
    """
    try:
        parts = base64.b64decode(text, validate=True).decode().split("/")
        if len(parts) != _PARTS:
            raise bad_handle()
        return Handle(parts[0], int(parts[1]), int(parts[2]), parts[3])
    except (binascii.Error, ValueError) as error:
        raise bad_handle() from error


MAX_VISIBILITY = 43_200  # seconds from the receive, extensions included


class Expired(SqsError):
    """A stale handle on a FIFO queue. A batch names it by another code than a single request."""


def handle_of(queue: Queue, stored: Stored) -> str:
    """The receipt handle of a message's present receive."""
    return str(Handle(queue.name, stored.serial, stored.receipt, stored.message_id))


def delete(queue: Queue, text: str) -> None:
    """Delete what the handle holds; a handle whose message is gone succeeds.

    A handle is stale once its lease has lapsed or the message was received again. The API's text:
    with an old handle "the request will succeed, but the message might not be deleted". On a
    standard queue it never is here, the worst case that is allowed. On a FIFO queue it is an error.

    Raises:
        SqsError: for a handle that is not this queue's, and for a stale one on a FIFO queue.
    """
    handle = _read(queue, text)
    stored = queue.copy(handle.serial)
    if stored is None:
        return
    if _is_held(stored, handle):
        queue.forget(stored)
    elif queue.fifo:
        raise _expired(text)


def change_visibility(queue: Queue, text: str, seconds: int) -> None:
    """Let the lease end `seconds` from now, at once with 0.

    Raises:
        SqsError: for a stale handle, a message that is gone or not in flight, and when the lease
            would end more than twelve hours after the receive: it is not cut to what is left.
    """
    check_visibility(seconds)
    handle = _read(queue, text)
    stored = queue.copy(handle.serial)
    now = queue.tick()
    if stored is None or stored.receipt != handle.receipt:
        raise _expired(text) if queue.fifo and stored is not None else _unavailable(text)
    if stored.state != "in_flight":
        raise _expired(text) if queue.fifo else _not_in_flight()
    if now + seconds - stored.received_at > MAX_VISIBILITY:
        raise invalid_value(
            "VisibilityTimeout",
            seconds,
            "Total VisibilityTimeout for the message is beyond the limit [43200 seconds]",
        )
    queue.hold(stored, now + seconds)


def lapse(queue: Queue, text: str) -> None:
    """End the lease that this handle holds, if it holds one: the handle is stale from then on."""
    handle = _read(queue, text)
    stored = queue.copy(handle.serial)
    if stored is not None and _is_held(stored, handle):
        queue.lapse(stored)


def held(queue: Queue, text: str) -> Stored | None:
    """The message that this handle holds, or None for a stale one."""
    handle = _read(queue, text)
    stored = queue.copy(handle.serial)
    return stored if stored is not None and _is_held(stored, handle) else None


def check_visibility(seconds: int) -> None:
    """Refuse what is no visibility timeout."""
    if not 0 <= seconds <= MAX_VISIBILITY:
        raise invalid_value("VisibilityTimeout", seconds, "Must be between 0 and 43200.")


def _read(queue: Queue, text: str) -> Handle:
    handle = read_handle(text)
    if handle.queue != queue.name:
        raise bad_handle()
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


def _not_in_flight() -> SqsError:
    return SqsError("MessageNotInflight", "The message referred to isn't in flight.")
