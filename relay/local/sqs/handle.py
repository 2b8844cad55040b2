"""Receipt handles: opaque to clients, and bound to one receive of one copy in one queue."""

from __future__ import annotations

import base64
import binascii
from typing import NamedTuple

from relay.local.sqs.errors import bad_handle

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
