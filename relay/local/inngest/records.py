"""What the server knows: functions, stored events, jobs in its queue and the runs they became."""

from __future__ import annotations

import base64
import binascii
import re
from typing import Any

import msgspec

from relay.local.inngest.event import ParsedEvent

_DIGIT_PAIRS = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_PAIRS = [first + second for first in _DIGIT_PAIRS for second in _DIGIT_PAIRS]
_SHIFTS = range(120, -1, -10)
_SHAPE = re.compile(r"[0-7][0-9A-HJKMNP-TV-Z]{25}", re.IGNORECASE)
_ENTROPY = 10

DEDUP_WINDOW = 24 * 3600.0
"""Seconds for which a function remembers an event id, from when it first saw it."""
BATCHED_DEDUP_WINDOW = 1800.0
"""Seconds for which a batching function remembers an internal id; it ignores the event's id."""


def ulid(milliseconds: int, entropy: bytes) -> str:
    """The ULID of a time in milliseconds since the epoch and ten bytes of entropy."""
    value = (milliseconds << 80) | int.from_bytes(entropy[:_ENTROPY], "big")
    # Two letters at a time: faster than the library's base32, which is Python too.
    return "".join([_PAIRS[(value >> shift) & 1023] for shift in _SHIFTS])


def is_ulid(text: str) -> bool:
    """Whether the text has the form of a ULID, in upper or lower case."""
    return _SHAPE.fullmatch(text) is not None


class Seed:
    """The seed of `x-inngest-event-id-seed`: a repeated request gets the same ULIDs."""

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
    """Parse a `<milliseconds>,<base64 of ten bytes>` header; None for any other text.

    A malformed seed is silently ignored, as by the real server.
    """
    milliseconds, comma, encoded = header.partition(",")
    if not comma or not re.fullmatch(r"\+?[0-9]{1,15}", milliseconds) or int(milliseconds) == 0:
        return None
    try:
        entropy = base64.b64decode(encoded, validate=True)
    except (binascii.Error, ValueError):
        return None
    return Seed(int(milliseconds), entropy) if len(entropy) == _ENTROPY else None


class Function(msgspec.Struct, frozen=True, kw_only=True):
    """A registered function.

    `on` is an event name, a prefix that ends in `*`, or `*` alone. `batched` means that it uses
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
        """The key by which the function recognises a repeated event."""
        return event.internal_id if self.batched else event.id

    @property
    def dedup_window(self) -> float:
        """Seconds for which a key is remembered."""
        return BATCHED_DEDUP_WINDOW if self.batched else DEDUP_WINDOW


class StoredEvent(msgspec.Struct, frozen=True, kw_only=True):
    """An acknowledged event; each copy of an id is a separate one.

    `internal_id` is the ULID in the response, `id` the producer's id or else the same ULID. `data`
    and `user` are JSON as functions see it. `ts` is in milliseconds, `received_at` in seconds.
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
    def of(cls, event: ParsedEvent, internal_id: str, now: float) -> StoredEvent:
        """The parsed event with this internal id, received now."""
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
    """A run in the server's queue, which is due at `due`. Times are seconds since the epoch."""

    run_id: str
    function: str
    due: float
    scheduled_at: float
    event: StoredEvent


class Run(msgspec.Struct, kw_only=True):
    """A function's run: an external effect, which no crash of the server undoes.

    `attempts` is more than one if a server that lost the record of the run did it again. `at` is
    the time of the first attempt in seconds, `data` the payload that the function saw, as JSON.
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
        """The run of this job, now."""
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

    By default each step follows at once. A real server under load takes seconds to insert, and
    snapshots its in-memory queue once a minute.
    """

    insert: float = 0.0
    schedule: float = 0.0
    run: float = 0.0
    snapshot: float = 60.0
