"""Reading a dead letter: its events, why it was dead-lettered, and its origin."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from typing import Any

from msgspec import structs

from relay.delivery.payloads import Pointer, parse_pointer
from relay.dlq.claims import claimed_name, claims, periodic_task
from relay.envelope import Decoded, Rules, decode
from relay.model.event import Event
from relay.model.message import Message
from relay.model.origin import Origin, UnreadableOrigin, origin_of
from relay.model.outcome import Reject

MOVED_BY_SQS = "moved_by_sqs"
"""Code of a message that the queue's own redrive policy moved; no reason is recorded for it."""

MOVED = (
    "SQS moved it by the queue's redrive policy, after as many receives without a delete as its"
    " maxReceiveCount allows"
)
"""The reason of such a message."""

UNKNOWN = "unknown"
"""Code of a message that neither the relay nor a redrive policy put there."""


@dataclass(frozen=True, kw_only=True)
class DeadLetter:
    """A message of a dead-letter queue, read with the relay's current rules.

    Its events are decoded on first access, because many operations need only the origin.

    Attributes:
        message: as received from the dead-letter queue.
        origin: what the message carries when it is redriven, this dead-lettering included; None
            where our attribute is present and cannot be read.
        decode: decodes its events.
        base_id: the id that the ids of its events derive from.
        source: name of the queue that it was last received from, where known.
        code: why it is here.
        reason: the same as a sentence.
        has_origin: whether the message already carries our attribute.
        id_lost: its ids were derived from a deduplication id, which SQS replaced when it moved the
            message.
        payload: the S3 object that its body points to, or why that object can never be read; None
            where the body is no pointer or the object was not fetched.
        payload_unread: its events are in an S3 object that was not fetched.
        modified: an operator's edit or rerun changed its body or origin.
    """

    message: Message
    origin: Origin | None
    decode: Callable[[], Decoded | Reject] = field(repr=False)
    base_id: str
    source: str | None
    code: str
    reason: str
    has_origin: bool
    id_lost: bool = False
    payload: bytes | Reject | None = field(default=None, repr=False)
    payload_unread: bool = False
    modified: bool = False

    @cached_property
    def decoded(self) -> Decoded | Reject:
        """Its pending events, or why the relay would reject it again."""
        return self.decode()

    @property
    def events(self) -> tuple[Event, ...]:
        """The events that are still to be delivered; empty if it would be rejected again."""
        return self.decoded.events if isinstance(self.decoded, Decoded) else ()

    @property
    def name(self) -> str | None:
        """Name of its first pending event, else the name that a rejected object claims."""
        if self.events:
            return self.events[0].name
        return next((name for claim in self.claims if (name := claimed_name(claim))), None)

    @property
    def claims(self) -> tuple[Mapping[str, Any], ...]:
        """The JSON objects in it that the relay would reject again."""
        if self.payload_unread:
            return ()
        if isinstance(self.payload, bytes):
            return claims(self.payload, None, self.decoded)
        return claims(
            self.message.body, self.origin.encoding if self.origin else None, self.decoded
        )

    @property
    def pointer(self) -> Pointer | None:
        """Where its events are in S3; None if they are in its body."""
        found = parse_pointer(self.message.body)
        return found if isinstance(found, Pointer) else None

    @property
    def hops(self) -> int:
        """How many times it was dead-lettered, this time included."""
        return self.origin.hops if self.origin else 0

    @property
    def first_sent_at(self) -> float | None:
        """When the producer sent it, in epoch seconds."""
        recorded = self.origin.sent_at if self.origin else None
        return recorded if recorded is not None else self.message.sent_at

    @property
    def moved_by_sqs(self) -> bool:
        """Whether SQS moved it here, which keeps its MessageId and, if standard, its age."""
        return self.message.dead_letter_source is not None

    @property
    def id_would_change(self) -> bool:
        """Whether its events would get new ids if it were sent again without our attribute."""
        if self.has_origin or self.base_id != self.message.message_id:
            return False
        return not self.events or any(
            event.id in (self.base_id, f"{self.base_id}.{event.index}") for event in self.events
        )


PAYLOAD_UNREAD = Reject("payload_not_fetched", "its events are in an S3 object that was not read")


def read_dead_letter(
    message: Message,
    rules: Rules,
    main: str | None = None,
    payload: bytes | Reject | None = None,
) -> DeadLetter:
    """Read a message of a dead-letter queue. Never raises.

    Args:
        message: as received.
        rules: how the relay decodes messages.
        main: name of the queue that it came from, where the message itself does not say.
        payload: the S3 object that the body points to, if it was fetched; see
            `relay.delivery.payloads`.
    """
    stored, damage = _stored_origin(message)
    moved_by_sqs = message.dead_letter_source is not None
    source = _source(message, stored)
    original = _as_first_received(message, source or main, stored, moved_by_sqs=moved_by_sqs)
    decode_original = partial(_decode, original, rules, payload)
    base_id, undecoded = stored.id if stored else message.message_id, False
    if stored is None or stored.undecoded:
        decoded = decode_original()
        decode_original = partial(_already, decoded)
        base_id = decoded.base_id if isinstance(decoded, Decoded) else base_id
        undecoded = not isinstance(decoded, Decoded)
    code, reason = _why(stored, damage, moved_by_sqs=moved_by_sqs)
    origin = None if damage else _origin(original, stored, base_id, source or main, (code, reason))
    if origin is not None and stored is None:
        origin = replace(origin, undecoded=undecoded)
    dedup_id_replaced = moved_by_sqs and message.group_id is not None
    return DeadLetter(
        message=message,
        origin=origin,
        decode=decode_original,
        base_id=base_id,
        source=source,
        code=code,
        reason=reason,
        has_origin=stored is not None or damage is not None,
        id_lost=dedup_id_replaced and stored is None and rules.fifo_dedup_id,
        payload=payload,
        payload_unread=payload is None and isinstance(parse_pointer(message.body), Pointer),
    )


def _already(decoded: Decoded | Reject) -> Decoded | Reject:
    return decoded


def _decode(original: Message, rules: Rules, payload: bytes | Reject | None) -> Decoded | Reject:
    if isinstance(payload, Reject):
        return payload
    if payload is not None:
        return decode(structs.replace(original, body=payload), rules)
    pointer = parse_pointer(original.body)
    if pointer is None:
        return decode(original, rules)
    return pointer if isinstance(pointer, Reject) else PAYLOAD_UNREAD


def _stored_origin(message: Message) -> tuple[Origin | None, str | None]:
    """The origin in our attribute, and why it cannot be read."""
    try:
        return origin_of(message), None
    except UnreadableOrigin as error:
        return None, str(error)


def _source(message: Message, stored: Origin | None) -> str | None:
    if message.dead_letter_source:
        return message.dead_letter_source.rpartition(":")[2]
    return stored.source if stored else None


def _as_first_received(
    message: Message, source: str | None, stored: Origin | None, *, moved_by_sqs: bool
) -> Message:
    """The message as the relay saw it in its own queue, whose name is part of configured ids."""
    if stored is not None:
        return message  # the stored origin decides
    return structs.replace(
        message,
        queue=source or message.queue,
        # SQS replaced it with the MessageId, and a wrong id is worse than none.
        dedup_id=None if moved_by_sqs else message.dedup_id,
        task=periodic_task(message),
    )


def _why(stored: Origin | None, damage: str | None, *, moved_by_sqs: bool) -> tuple[str, str]:
    """The code, and the reason as a sentence."""
    if moved_by_sqs:
        # The message's own count includes receives from here, so it grows with each look.
        return MOVED_BY_SQS, MOVED
    if stored is not None:
        return stored.code or UNKNOWN, stored.reason or "no reason was recorded"
    return UNKNOWN, damage or "neither the relay nor a redrive policy put it here"


def _origin(
    original: Message,
    stored: Origin | None,
    base_id: str,
    source: str | None,
    why: tuple[str, str],
) -> Origin:
    if stored is None:
        task = original.task
        return Origin(
            id=base_id,
            hops=1,
            sent_at=original.sent_at,
            source=source,
            code=why[0],
            reason=why[1],
            task=(task.name, task.scheduled_at) if task else None,
        )
    if original.dead_letter_source is None:
        return stored
    # A redrive policy does not update our attribute: its hop is added here.
    return replace(stored, hops=stored.hops + 1, code=why[0], reason=why[1])
