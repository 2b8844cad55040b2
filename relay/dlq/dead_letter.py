"""A dead letter as a person reads it: its events, its reason, its past."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from typing import Any

from msgspec import structs

from relay.delivery.payloads import Pointer, parse_pointer
from relay.dlq.claims import claimed_name, claims, firing
from relay.envelope import Decoded, Rules, decode
from relay.model.event import Event
from relay.model.message import Message
from relay.model.origin import Origin, UnreadableOrigin, origin_of
from relay.model.outcome import Reject

MOVED_BY_SQS = "moved_by_sqs"
"""The code of what the queue's own redrive policy dead-lettered: nobody noted a reason."""

UNKNOWN = "unknown"
"""The code of what neither the relay nor a redrive policy put there."""


@dataclass(frozen=True, kw_only=True)
class DeadLetter:
    """One message of a dead-letter queue, read with the rules of the relay as it is now.

    Its events are decoded when they are first asked for: much can be done with what is noted.

    Attributes:
        message: as the dead-letter queue gave it.
        past: what the letter carries on when it is brought back, its stay here included; None where
            our attribute is there and cannot be read.
        decoded: decodes it.
        base_id: what the ids of its events hang on.
        source: name of the queue that it was last taken from, where known.
        code: why it is here.
        reason: the same as a sentence.
        noted: whether it carries our attribute already.
        id_lost: its ids hung on a deduplication id, which SQS replaced when it moved the message.
        payload: what its body points to in S3, or why that can never be had; None where it points
            nowhere or was not fetched.
        sealed: its events are in an object in S3 that was not fetched.
        altered: body or past are not those that the queue gave, but what an operator made of them.
    """

    message: Message
    origin: Origin | None
    decoded: Callable[[], Decoded | Reject] = field(repr=False)
    base_id: str
    source: str | None
    code: str
    reason: str
    noted: bool
    id_lost: bool = False
    payload: bytes | Reject | None = field(default=None, repr=False)
    sealed: bool = False
    altered: bool = False

    @cached_property
    def found(self) -> Decoded | Reject:
        """Its pending events, or why the relay would reject it again."""
        return self.decoded()

    @property
    def events(self) -> tuple[Event, ...]:
        """The events still to be delivered; none where it would be rejected again."""
        return self.found.events if isinstance(self.found, Decoded) else ()

    @property
    def name(self) -> str | None:
        """The name of its first pending event, or what a rejected one claims as its name."""
        if self.events:
            return self.events[0].name
        return next((name for claim in self.claims if (name := claimed_name(claim))), None)

    @property
    def claims(self) -> tuple[Mapping[str, Any], ...]:
        """The objects in it that the relay would reject again."""
        if self.sealed:
            return ()
        if isinstance(self.payload, bytes):
            return claims(self.payload, None, self.found)
        return claims(self.message.body, self.origin.encoding if self.origin else None, self.found)

    @property
    def pointer(self) -> Pointer | None:
        """Where in S3 its events are; None where they are in its body."""
        found = parse_pointer(self.message.body)
        return found if isinstance(found, Pointer) else None

    @property
    def hops(self) -> int:
        """How often it has gone through a dead-letter queue, this time included."""
        return self.origin.hops if self.origin else 0

    @property
    def first_sent_at(self) -> float | None:
        """When a producer sent it, epoch seconds."""
        told = self.origin.sent_at if self.origin else None
        return told if told is not None else self.message.sent_at

    @property
    def moved_by_sqs(self) -> bool:
        """Whether SQS moved it here by itself, with its MessageId and, if standard, its age."""
        return self.message.dead_letter_source is not None

    @property
    def rootless(self) -> bool:
        """Whether new ids would follow if it were sent again with nothing noted on it."""
        if self.noted or self.base_id != self.message.message_id:
            return False
        return not self.events or any(
            event.id in (self.base_id, f"{self.base_id}.{event.index}") for event in self.events
        )


SEALED = Reject("payload_not_fetched", "its events are in an object in S3, which was not read")


def read_dead_letter(
    message: Message,
    rules: Rules,
    main: str | None = None,
    payload: bytes | Reject | None = None,
) -> DeadLetter:
    """Read a message of a dead-letter queue. Never raises.

    `main` is the name of the queue that it came from, where the message itself does not tell.
    `payload` is what the body points to, if that was looked for: see `relay.delivery.payloads`.
    """
    stored, damage = _origin(message)
    moved_by_sqs = message.dead_letter_source is not None
    source = _source(message, stored)
    first = _as_it_was(message, source or main, stored, moved_by_sqs=moved_by_sqs)
    decoded = partial(_found, first, rules, payload)
    base_id, undecoded = stored.id if stored else message.message_id, False
    if stored is None or stored.undecoded:
        found = decoded()
        decoded = partial(_known, found)
        base_id = found.base_id if isinstance(found, Decoded) else base_id
        undecoded = not isinstance(found, Decoded)
    code, reason = _why(message, stored, damage, moved_by_sqs=moved_by_sqs)
    origin = None if damage else _past(first, stored, base_id, source or main, (code, reason))
    if origin is not None and stored is None:
        origin = replace(origin, undecoded=undecoded)
    return DeadLetter(
        message=message,
        origin=origin,
        decoded=decoded,
        base_id=base_id,
        source=source,
        code=code,
        reason=reason,
        noted=stored is not None or damage is not None,
        id_lost=moved_by_sqs
        and stored is None
        and rules.fifo_dedup_id
        and message.group_id is not None,
        payload=payload,
        sealed=payload is None and isinstance(parse_pointer(message.body), Pointer),
    )


def _known(found: Decoded | Reject) -> Decoded | Reject:
    return found


def _found(first: Message, rules: Rules, payload: bytes | Reject | None) -> Decoded | Reject:
    if isinstance(payload, Reject):
        return payload
    if payload is not None:
        return decode(structs.replace(first, body=payload), rules)
    pointer = parse_pointer(first.body)
    if pointer is None:
        return decode(first, rules)
    return pointer if isinstance(pointer, Reject) else SEALED


def _origin(message: Message) -> tuple[Origin | None, str | None]:
    try:
        return origin_of(message), None
    except UnreadableOrigin as error:
        return None, str(error)


def _source(message: Message, stored: Origin | None) -> str | None:
    if message.dead_letter_source:
        return message.dead_letter_source.rpartition(":")[2]
    return stored.source if stored else None


def _as_it_was(
    message: Message, source: str | None, stored: Origin | None, *, moved_by_sqs: bool
) -> Message:
    """The message as the relay saw it in its own queue, whose name is part of configured ids."""
    if stored is not None:
        return message  # what is noted decides
    return structs.replace(
        message,
        queue=source or message.queue,
        # SQS put the MessageId in its place, and a wrong id is worse than none.
        dedup_id=None if moved_by_sqs else message.dedup_id,
        task=firing(message),
    )


def _why(
    message: Message, stored: Origin | None, damage: str | None, *, moved_by_sqs: bool
) -> tuple[str, str]:
    if moved_by_sqs:
        # The looks at the dead-letter queue are counted too, this one among them.
        times = message.receive_count - 1
        most = f" after {times} deliveries at the most" if times else ""
        return MOVED_BY_SQS, f"SQS moved it by the queue's redrive policy{most}"
    if stored is not None:
        return stored.code or UNKNOWN, stored.reason or "no reason is noted"
    return UNKNOWN, damage or "it was put here by neither the relay nor a redrive policy"


def _past(
    first: Message, stored: Origin | None, base_id: str, source: str | None, why: tuple[str, str]
) -> Origin:
    if stored is None:
        return Origin(
            id=base_id,
            hops=1,
            sent_at=first.sent_at,
            source=source,
            code=why[0],
            reason=why[1],
            task=(first.task.name, first.task.scheduled_at) if first.task else None,
        )
    if first.dead_letter_source is None:
        return stored
    # The redrive policy counts nothing: its hop is added here.
    return replace(stored, hops=stored.hops + 1, code=why[0], reason=why[1])
