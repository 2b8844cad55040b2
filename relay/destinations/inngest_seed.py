"""The seed of Inngest's internal id: the same event gets the same one at each delivery.

A function that takes events in batches (`batchEvents`) knows a repeated event by this id only. The
header speaks of the first event of a request, so each event needs a request of its own.
"""

from __future__ import annotations

import base64
import hashlib
import json

from relay.message import Event

HEADER = "x-inngest-event-id-seed"

IN_FLIGHT = 8
"""Requests under way at once, for want of batches; half of the client's connections."""

_ENTROPY = 10


def seed_of(event: Event) -> str:
    """The header's value: `<milliseconds>,<base64 of ten bytes>`, from time, name and id.

    The time is the event's own, which is the same at each delivery of a message and in our dead
    letter of it. Without any it is the first millisecond: the server ignores a seed with zero.
    """
    named = json.dumps([event.name, event.id]).encode()
    entropy = base64.b64encode(hashlib.sha256(named).digest()[:_ENTROPY]).decode()
    return f"{event.ts or 1},{entropy}"
