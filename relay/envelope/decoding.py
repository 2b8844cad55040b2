"""Decoding of a message into its events: a pure function that never raises, for any bytes."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from msgspec import Struct

from relay.envelope import aws, fields, ids
from relay.envelope.detection import open_envelope
from relay.envelope.ids import Rules
from relay.envelope.inngest import MAX_NOTICES
from relay.envelope.opened_envelope import EventDraft, InvalidContent, OpenedEnvelope
from relay.model import trace_context
from relay.model.encoded_body import Truncated, UnpackedTooLarge, decode_body
from relay.model.event import ENVIRONMENT, MAX_ENVIRONMENT, Event, is_environment
from relay.model.message import Message, PeriodicTask
from relay.model.origin import Origin, UnreadableOrigin, origin_of
from relay.model.outcome import Reject


class Decoded(Struct, frozen=True, kw_only=True):
    """The events of one message that are still to be delivered.

    Attributes:
        envelope: the kind of envelope; for an SNS notification, the kind inside it.
        base_id: the id that those of events without their own are derived from, without any
            generation.
        events: the valid events, each with its position in the message as first received.
        rejects: the invalid events of an array, as (position, reject).
        total: how many events the body contains, pending or not.
        notices: stable codes for what was accepted but may be a mistake.
        acknowledge_reason: why the message may be acknowledged although it has nothing to send.
    """

    envelope: str
    base_id: str
    events: tuple[Event, ...]
    rejects: tuple[tuple[int, Reject], ...] = ()
    total: int
    notices: tuple[str, ...] = ()
    acknowledge_reason: str | None = None


BODY_TRUNCATED = "body_truncated"
"""The code of a dead letter that had no room for its whole body. It can never be delivered."""

NOTHING_PENDING = "nothing-pending"
"""The `acknowledge_reason` of a redriven message without a pending event."""


def decode(message: Message, rules: Rules) -> Decoded | Reject:
    """The message's pending events, or why it cannot have any.

    A `Reject` is about the message as a whole. The invalid events of an array are in `rejects`.
    Never raises, whatever the bytes and attributes are.
    """
    try:
        return _decode(message, rules)
    except InvalidContent as error:
        return error.reject


def _decode(message: Message, rules: Rules) -> Decoded | Reject:
    origin = _read_origin(message)
    envelope = _open_message(message, origin, rules)
    base, notices = ids.base_id(message, origin, envelope, rules)
    drafts = _pending(envelope, origin)
    make_event = _event_factory(message, origin, envelope, base, trace_in_data=rules.trace_in_data)
    events, rejects = _split_valid(drafts, make_event, rules.max_event_bytes)
    if rejects and not envelope.array:
        return rejects[0][1]
    return Decoded(
        envelope=envelope.kind,
        base_id=base,
        events=tuple(events),
        rejects=tuple(rejects),
        total=len(envelope.drafts),
        notices=_notices(envelope, drafts, events, notices),
        acknowledge_reason=envelope.acknowledge_reason or (None if drafts else NOTHING_PENDING),
    )


def _read_origin(message: Message) -> Origin | None:
    try:
        return origin_of(message)
    except UnreadableOrigin as error:
        raise InvalidContent("bad_origin", str(error)) from None


def _open_message(message: Message, origin: Origin | None, rules: Rules) -> OpenedEnvelope:
    firing = message.task or (PeriodicTask(*origin.task) if origin and origin.task else None)
    if firing is not None:
        return aws.periodic_task(firing, message.queue, rules.task_prefix)
    try:
        body = decode_body(message.body, origin.encoding) if origin else message.body
    except Truncated as error:
        raise InvalidContent(BODY_TRUNCATED, str(error)) from None
    except UnpackedTooLarge as error:
        raise InvalidContent(
            "unpacked_too_large",
            f"{error}: the relay did not write it, so remove the attribute relay-origin or drop it",
        ) from None
    except ValueError as error:
        raise InvalidContent(
            "bad_origin", f"the dead letter's body cannot be restored: {error}"
        ) from None
    return open_envelope(body, rules.envelope, rules.max_events)


def _pending(
    envelope: OpenedEnvelope, origin: Origin | None
) -> list[tuple[int, EventDraft | Reject]]:
    """The drafts that are still to be delivered, with their positions."""
    if origin is None or origin.pending is None:
        return list(enumerate(envelope.drafts))
    total = len(envelope.drafts)
    if any(index >= total for index in origin.pending):
        raise InvalidContent(
            "bad_origin", f"a pending position is not one of the {total} events of the message"
        )
    return [(index, envelope.drafts[index]) for index in sorted(set(origin.pending))]


def _event_factory(
    message: Message,
    origin: Origin | None,
    envelope: OpenedEnvelope,
    base: str,
    *,
    trace_in_data: bool,
) -> Callable[[int, EventDraft], Event]:
    """A function that makes a draft an event, with what all events of the message share.

    `trace_in_data` adds the trace to the event's data.
    """
    sent = fields.from_seconds(origin.sent_at) if origin else None
    ts = envelope.ts or sent or fields.from_seconds(message.sent_at)
    trace = _trace(message, envelope)
    env = _environment(message, envelope)
    generation = origin.generation if origin else 0

    def make_event(index: int, draft: EventDraft) -> Event:
        return Event(
            id=ids.event_id(draft, envelope, base, index, generation),
            name=draft.name,
            data=trace_context.with_traceparent(draft.data, trace) if trace_in_data else draft.data,
            ts=draft.ts or ts,
            v=draft.v,
            user=draft.user,
            meta=draft.meta,
            index=index,
            message_id=message.message_id,
            trace=trace,
            env=env,
        )

    return make_event


def _split_valid(
    drafts: Sequence[tuple[int, EventDraft | Reject]],
    make_event: Callable[[int, EventDraft], Event],
    max_bytes: int,
) -> tuple[list[Event], list[tuple[int, Reject]]]:
    """The valid events and the rejects of the others."""
    events: list[Event] = []
    rejects: list[tuple[int, Reject]] = []
    for index, draft in drafts:
        if isinstance(draft, Reject):
            rejects.append((index, draft))
        elif _fits(event := make_event(index, draft), max_bytes):
            events.append(event)
        else:
            size = f"{event.size} bytes, more than {max_bytes}"
            rejects.append((index, Reject("event_too_large", f"the event has {size}")))
    return events, rejects


def _fits(event: Event, max_bytes: int) -> bool:
    """Whether the event is small enough. It is encoded only if an estimate does not decide."""
    texts = len(event.id) + len(event.name) + len(event.v or "")
    # An escaped character takes up to 12 bytes; 120 cover the keys and the time.
    most = 120 + 12 * texts + len(event.data or b"") + len(event.user or b"")
    most += len(event.meta or b"")
    return most <= max_bytes or event.size <= max_bytes


def _environment(message: Message, envelope: OpenedEnvelope) -> str | None:
    """The Inngest environment that the producer sent the events to, None for the relay's own.

    Raises:
        InvalidContent: `bad_environment`. In the relay's own environment it would run functions
            that it was not meant for.
    """
    if not message.attributes and not envelope.attributes:
        return None
    found = ids.text_attribute(message, envelope, ENVIRONMENT)
    if found is not None and not is_environment(found):
        raise InvalidContent(
            "bad_environment",
            f"the attribute {ENVIRONMENT} is not 1 to {MAX_ENVIRONMENT} printable ASCII characters",
        )
    return found


def _trace(message: Message, envelope: OpenedEnvelope) -> str | None:
    """The producer's W3C trace parent if it is valid, else that of AWS's own header."""
    own = ids.text_attribute(message, envelope, trace_context.TRACEPARENT) or envelope.trace
    valid = trace_context.valid_traceparent(own)
    return valid or trace_context.from_x_ray(message.trace_header)


def _notices(
    envelope: OpenedEnvelope,
    drafts: Sequence[tuple[int, EventDraft | Reject]],
    events: Sequence[Event],
    id_notices: tuple[str, ...],
) -> tuple[str, ...]:
    found = [*id_notices, *envelope.notices]
    for _, draft in drafts:
        if isinstance(draft, EventDraft):
            found += draft.notices
    if len(events) > 1 and len({event.id for event in events}) < len(events):
        found.append("repeated-id")
    return tuple(dict.fromkeys(found))[:MAX_NOTICES] if found else ()
