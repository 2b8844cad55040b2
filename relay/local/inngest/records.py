"""What the server knows: functions, stored events, jobs in its queue and the runs they became."""

from __future__ import annotations

import base64
import binascii
import re
from typing import Any

import msgspec

from relay.local.inngest.event import Incoming

_LETTERS = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_PAIRS = [first + second for first in _LETTERS for second in _LETTERS]
_SHIFTS = range(120, -1, -10)
_SHAPE = re.compile(r"[0-7][0-9A-HJKMNP-TV-Z]{25}", re.IGNORECASE)
_ENTROPY = 10


def ulid(milliseconds: int, entropy: bytes) -> str:
    """The 26 letters of a time in milliseconds since the epoch and ten bytes of entropy."""
    value = (milliseconds << 80) | int.from_bytes(entropy[:_ENTROPY], "big")
    # Two letters at a time: the library's base32 is Python too, and slower.
    return "".join([_PAIRS[(value >> shift) & 1023] for shift in _SHIFTS])


def is_ulid(text: str) -> bool:
    """Whether the text has the shape of a ULID, in any case."""
    return _SHAPE.fullmatch(text) is not None


class Seed:
    """What `x-inngest-event-id-seed` asks for: the same ULIDs for the same request."""

    def __init__(self, milliseconds: int, entropy: bytes) -> None:
        self._milliseconds = milliseconds
        self._head = entropy[:6]
        self._tail = int.from_bytes(entropy[6:], "big")

    def at(self, position: int) -> str:
        """The ULID of the event at this position of the request, 0 for the first."""
        # The server counts from one and lets the last four bytes wrap around.
        tail = (self._tail + position + 1) % 2**32
        return ulid(self._milliseconds, self._head + tail.to_bytes(4, "big"))


def read_seed(header: str) -> Seed | None:
    """The seed of a `<milliseconds>,<base64 of ten bytes>` header; None for any other text.

    A malformed seed is ignored without a word, as the real server does.
    """
    milliseconds, comma, encoded = header.partition(",")
    if not comma or not re.fullmatch(r"\+?[0-9]{1,15}", milliseconds) or int(milliseconds) == 0:
        return None
    try:
        entropy = base64.b64decode(encoded, validate=True)
    except (binascii.Error, ValueError):
        return None
    return Seed(int(milliseconds), entropy) if len(entropy) == _ENTROPY else None


MEMORY = 24 * 3600.0
"""Seconds for which a function remembers an event id, from its first sight."""
BATCHED_MEMORY = 1800.0
"""Seconds for which a batching function remembers an internal id; it ignores the event's own."""


class Function(msgspec.Struct, frozen=True, kw_only=True):
    """A function that an app has registered.

    `on` is an event name, a prefix that ends in `*`, or `*` alone. `batched` stands for
    `batchEvents`, which ignores event ids.
    """

    name: str
    on: str
    batched: bool = False

    def listens_to(self, event_name: str) -> bool:
        """Whether an event of this name starts the function."""
        if self.on.endswith("*"):
            return event_name.startswith(self.on[:-1])
        return event_name == self.on

    def key(self, event: StoredEvent) -> str:
        """What the function recognises a repeated event by."""
        return event.internal_id if self.batched else event.id

    @property
    def memory(self) -> float:
        """Seconds for which a key is remembered."""
        return BATCHED_MEMORY if self.batched else MEMORY


class StoredEvent(msgspec.Struct, frozen=True, kw_only=True):
    """An event that was acknowledged; every copy of an id is one of its own.

    `internal_id` is the ULID of the answer, `id` the producer's or else the ULID again. `data` and
    `user` are JSON as functions see it. `ts` is in milliseconds, `received_at` in seconds.
    """

    internal_id: str
    id: str
    name: str
    data: msgspec.Raw
    user: msgspec.Raw
    ts: int
    v: str | None = None
    received_at: float

    @classmethod
    def of(cls, event: Incoming, internal_id: str, now: float) -> StoredEvent:
        """The event under its internal id, received now."""
        return cls(
            internal_id=internal_id,
            id=event.id or internal_id,
            name=event.name,
            data=msgspec.Raw(event.data),
            user=msgspec.Raw(event.user),
            ts=event.ts or int(now * 1000),
            v=event.v,
            received_at=now,
        )


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """A run that waits in the server's queue for its time, in seconds since the epoch."""

    run_id: str
    function: str
    due: float
    scheduled_at: float
    event: StoredEvent


class Run(msgspec.Struct, kw_only=True):
    """What a function did: a record of the outside world that no crash of the server undoes.

    `attempts` is more than one where a server that lost its memory of the run did the same run
    again. `at` is the time of the first attempt in seconds, `data` the payload as the function saw
    it, as JSON.
    """

    run_id: str
    function: str
    event_id: str
    event_name: str
    internal_id: str
    data: msgspec.Raw
    ts: int
    at: float
    status: str = "Completed"
    attempts: int = 1

    @property
    def payload(self) -> Any:
        """The payload, decoded."""
        return msgspec.json.decode(self.data)

    @classmethod
    def of(cls, job: Job, now: float) -> Run:
        """The run that the job becomes now."""
        event = job.event
        return cls(
            run_id=job.run_id,
            function=job.function,
            event_id=event.id,
            event_name=event.name,
            internal_id=event.internal_id,
            data=event.data,
            ts=event.ts,
            at=now,
        )


class Lags(msgspec.Struct, frozen=True, kw_only=True):
    """Seconds between the steps of an event, and between two snapshots of the queue.

    The defaults make every step follow at once. A real server under load takes seconds to insert,
    and snapshots its in-memory queue once a minute.
    """

    insert: float = 0.0
    schedule: float = 0.0
    run: float = 0.0
    snapshot: float = 60.0
