"""What the server knows: functions, stored events, jobs in its queue and the runs they became."""

from __future__ import annotations

import base64
import binascii
import re
import uuid
from typing import Any, Literal, TypeAlias

import msgspec

from relay.local.inngest.event import ParsedEvent

RunStatus: TypeAlias = Literal["Scheduled", "Running", "Completed", "Failed", "Cancelled"]

_DIGIT_PAIRS = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_PAIRS = [first + second for first in _DIGIT_PAIRS for second in _DIGIT_PAIRS]
_SHIFTS = range(120, -1, -10)
_ULID = 26
_ENTROPY = 10
_SEED_END = 2**48

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
    """Whether the server takes the text for a ULID: it checks the length and the first digit."""
    return len(text) == _ULID and text[0] <= "7"


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
    if not comma or not re.fullmatch(r"\+?[0-9]{1,15}", milliseconds):
        return None
    if not 0 < int(milliseconds) < _SEED_END:
        return None
    try:
        entropy = base64.b64decode(encoded, validate=True)
    except (binascii.Error, ValueError):
        return None
    return Seed(int(milliseconds), entropy) if len(entropy) == _ENTROPY else None


class Function(msgspec.Struct, frozen=True, kw_only=True):
    """A registered function.

    Attributes:
        name: also its id within its app.
        on: an event name, a prefix that ends in `*`, or `*` alone. Names count exactly.
        app: the id of its app.
        batched: whether it uses `batchEvents`, which ignores event ids.
        size: the most events of a batch.
        wait: seconds for which a batch that is not full waits for more events.
        seconds: how long a run takes.
        output: what a run returns, or the error that it fails with.
        fails: whether its runs fail.
        cancelled: whether its runs are cancelled when their time is over.
        cancel_on: the name of the event that is said to cancel its runs.
    """

    name: str
    on: str
    app: str = "app"
    batched: bool = False
    size: int = 1
    wait: float = 0.0
    seconds: float = 0.0
    output: Any = None
    fails: bool = False
    cancelled: bool = False
    cancel_on: str = ""

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


def function_id(app: str, name: str) -> str:
    """The id under which the server knows the function of an app."""
    return str(uuid.uuid5(uuid.NAMESPACE_OID, f"{app}-{name}"))


class StoredEvent(msgspec.Struct, frozen=True, kw_only=True):
    """An acknowledged event; each copy of an id is a separate one.

    `internal_id` is the ULID in the response, `id` the producer's id or else the same ULID. `data`
    and `user` are JSON as functions see it. `ts` is in milliseconds, `received_at` in seconds: when
    it was stored, not when it was acknowledged. Only functions get `meta`.
    """

    internal_id: str
    id: str
    name: str
    data: msgspec.Raw
    user: msgspec.Raw
    ts: int
    v: str | None = None
    meta: dict[str, Any] | None = None
    received_at: float

    @classmethod
    def of(
        cls, event: ParsedEvent, internal_id: str, now: float, received_at: float
    ) -> StoredEvent:
        """The parsed event with this internal id, acknowledged now and stored at `received_at`."""
        return cls(
            internal_id=internal_id,
            id=event.id or internal_id,
            name=event.name,
            data=msgspec.Raw(event.data),
            user=msgspec.Raw(event.user),
            ts=event.ts or int(now * 1000),
            v=event.v,
            meta=event.meta,
            received_at=received_at,
        )


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """An event's part in a run that is in the server's queue, due at `due`.

    Times are seconds since the epoch. The jobs of a batch have one run id. `trigger` is the
    internal id of the run's first event.
    """

    run_id: str
    function: Function
    due: float
    scheduled_at: float
    event: StoredEvent
    trigger: str
    batch_id: str = ""


class Run(msgspec.Struct, kw_only=True):
    """A function's run for an event: an external effect, which no crash of the server undoes.

    `attempts` is more than one if a server that lost the record of the run did it again. `at` is
    the time of the first attempt in seconds, `data` the payload that the function saw, as JSON.
    The runs for the events of a batch have one `run_id`, and the `trigger` is its first event.
    """

    run_id: str
    function: str
    event_id: str
    event_name: str
    internal_id: str
    data: msgspec.Raw
    ts: int
    at: float
    status: RunStatus = "Completed"
    attempts: int = 1
    app: str = "app"
    queued_at: float = 0.0
    ended_at: float | None = None
    output: Any = None
    trigger: str = ""
    batch_id: str = ""
    meta: dict[str, Any] | None = None

    @property
    def payload(self) -> Any:
        """The payload, decoded."""
        return msgspec.json.decode(self.data)

    @classmethod
    def of(cls, job: Job, now: float, status: RunStatus = "Running") -> Run:
        """The run of this job, which starts now."""
        event = job.event
        return cls(
            run_id=job.run_id,
            function=job.function.name,
            event_id=event.id,
            event_name=event.name,
            internal_id=event.internal_id,
            data=event.data,
            ts=event.ts,
            at=now,
            status=status,
            app=job.function.app,
            queued_at=job.scheduled_at,
            trigger=job.trigger,
            batch_id=job.batch_id,
            meta=event.meta,
        )


class Lags(msgspec.Struct, frozen=True, kw_only=True):
    """Seconds between the steps of an event.

    By default each step follows at once. A real server looks for acknowledged events every 0.25 s
    when idle, and under load takes seconds to store them. What a stop loses depends on `insert`:
    an event that is not yet stored is lost by a clean stop and by a kill alike.
    """

    insert: float = 0.0
    schedule: float = 0.0
    run: float = 0.0
