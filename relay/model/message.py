"""The values that travel: a message of the queue, the events in it, and what became of them.

Structs rather than dataclasses where one is made for each message: a frozen dataclass of as many
fields takes ten times as long to make.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from json.encoder import encode_basestring  # what `dumps` calls, without making an encoder first
from typing import Protocol, TypeAlias

from msgspec import Struct


class Attribute(Struct, frozen=True):
    """A message attribute as SQS types it: `String`, `Number` or `Binary`, each `.custom` or not.

    `value` is bytes for Binary types and text for all others.
    """

    data_type: str
    value: str | bytes


@dataclass(frozen=True, slots=True)
class PeriodicTask:
    """One firing of a task in `cron.yaml`. The same firing can arrive twice."""

    name: str
    scheduled_at: str


class Message(Struct, frozen=True, kw_only=True):
    """One message as it was received. Times are seconds since the epoch.

    `message_id` is what the queue calls this message, the same at each redelivery, another after
    SQS's own move task. `queue` is the queue's name. What a source does not tell is None: push mode
    never knows `group_id`, `dedup_id`, `trace_header` or `dead_letter_source`.
    """

    body: bytes
    message_id: str
    queue: str
    attributes: Mapping[str, Attribute] = {}
    receive_count: int = 1
    sent_at: float | None = None
    first_received_at: float | None = None
    group_id: str | None = None
    dedup_id: str | None = None
    sequence_number: str | None = None
    trace_header: str | None = None
    dead_letter_source: str | None = None
    task: PeriodicTask | None = None

    @property
    def sent_or_received_at(self) -> float | None:
        """When it was sent; where the source does not tell, when it was first received."""
        return self.first_received_at if self.sent_at is None else self.sent_at

    def attribute(self, name: str) -> Attribute | None:
        """The attribute of this name in any case: HTTP headers lose it on the way in push mode."""
        if not self.attributes:
            return None
        found = self.attributes.get(name)
        if found is not None:
            return found
        folded = name.casefold()
        for key, value in self.attributes.items():
            if key.casefold() == folded:
                return value
        return None


class Event(Struct, frozen=True):
    """One event of a message, ready to be sent.

    `data` and `user` are the producer's own JSON text, byte for byte, or None where it sent none.
    `ts` is in milliseconds. `index` is the event's position in its message when first seen, 0 for
    one alone, and outlives dead-lettering: a redrive sends only the pending positions. `trace` is
    the producer's W3C `traceparent`, if it sent one.
    """

    id: str
    name: str
    data: bytes | None = None
    ts: int | None = None
    v: str | None = None
    user: bytes | None = None
    index: int = 0
    message_id: str = ""
    trace: str | None = None

    @property
    def wire(self) -> bytes:
        """The event as one JSON object, the same bytes at each delivery of the same message.

        Made anew each time: with thousands in hand, keeping it would hold their payloads twice.
        """
        parts = [b'{"id":', _text(self.id), b',"name":', _text(self.name)]
        for key, raw in ((b"data", self.data), (b"user", self.user)):
            if raw is not None:
                parts += (b',"', key, b'":', raw)
        if self.ts is not None:
            parts.append(b',"ts":%d' % self.ts)
        if self.v is not None:
            parts += (b',"v":', _text(self.v))
        parts.append(b"}")
        return b"".join(parts)


def _text(value: str) -> bytes:
    # A lone surrogate has no UTF-8; its escape has. The decoder lets none in, so escapes are rare.
    try:
        return encode_basestring(value).encode()
    except UnicodeEncodeError:
        return json.dumps(value).encode()


class Delivered(Struct, frozen=True):
    """Accepted: the destination said so strictly, for a request that contained the event.

    `reference` is the destination's own name for it. `duplicate` is True where it was known to have
    been accepted before.
    """

    reference: str | None = None
    duplicate: bool = False


class Retry(Struct, frozen=True):
    """Not now. The message stays in the queue and comes again, `after` seconds if given."""

    reason: str
    after: float | None = None


class Reject(Struct, frozen=True):
    """Never. `code` is stable and for machines, `reason` is a sentence for a person.

    `may_have_run` is True where an earlier attempt had an unknown end, so that the destination may
    hold the event all the same; the dead letter says so.
    """

    code: str
    reason: str
    may_have_run: bool = False


Outcome: TypeAlias = Delivered | Retry | Reject


class Unavailable(Exception):
    """The destination as a whole did not answer as a destination should.

    Args:
        reason: a sentence for a person, free of secrets.
        after: seconds the destination asked us to wait (`Retry-After`).
        setting: the setting to look at when the answer speaks of a misconfiguration; None when the
            destination is merely down. A misconfiguration halts, an outage opens the circuit.
        proven: the answer is unmistakably about the destination and no second witness is needed
            (a refused connection, Inngest's own 401). False where one event could be the cause.
        not_accepted: True where nothing of the request can have been accepted: no byte of it arrived,
            or the answer rules it out.
    """

    def __init__(
        self,
        reason: str,
        *,
        after: float | None = None,
        setting: str | None = None,
        proven: bool = False,
        not_accepted: bool = False,
    ) -> None:
        super().__init__(reason)
        self.reason = reason
        self.after = after
        self.setting = setting
        self.proven = proven
        self.not_accepted = not_accepted


class Refused(Exception):
    """The destination refused a request of several events because of one of them, or of their size.

    `suspect` is the position of the event that the answer points at, a hint and no evidence, or
    None. Those before it may have been stored, and any where it is None; none with `not_accepted`.
    Raised for requests of two events or more only: one alone that can never pass is a `Reject`, and
    one that is refused for a reason nobody knows is `Unavailable` and not `proven`.
    """

    def __init__(
        self, reason: str, *, suspect: int | None = None, not_accepted: bool = False
    ) -> None:
        super().__init__(reason)
        self.reason = reason
        self.suspect = suspect
        self.not_accepted = not_accepted


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What one request to a destination may hold, and how many may be under way at once.

    A larger event goes alone. Two requests keep a destination busy that answers in milliseconds:
    one is answered while the next is on its way.
    """

    max_events: int = 100
    max_bytes: int = 1_048_576
    in_flight: int = 2


class Destination(Protocol):
    """The seam to an orchestrator: one method, and what fits into a call of it."""

    @property
    def limits(self) -> Limits:
        """What `send` takes at once."""
        ...

    async def send(self, events: Sequence[Event]) -> Sequence[Outcome]:
        """Send all events in one attempt; the outcomes have the same length and order.

        Cancelling it leaves the end of the attempt unknown.

        Raises:
            Unavailable: nothing is known to be accepted; any event may be, unless it is `not_accepted`.
            Refused: the request failed for one of its several events.
        """
        ...
