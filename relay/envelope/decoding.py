"""From a message to its events. Pure, and total: any bytes get an answer."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from msgspec import Struct

from relay.envelope import aws, fields, ids
from relay.envelope.detection import opened
from relay.envelope.ids import Rules
from relay.envelope.opened_envelope import EventDraft, InvalidContent, OpenedEnvelope
from relay.model import trace_context
from relay.model.encoded_body import decode_body
from relay.model.event import Event
from relay.model.message import Message, PeriodicTask
from relay.model.origin import Origin, UnreadableOrigin, origin_of
from relay.model.outcome import Reject


class Decoded(Struct, frozen=True, kw_only=True):
    """The events of one message that are still to be delivered.

    Attributes:
        envelope: which kind it was; of an SNS notification, the kind inside it.
        base_id: what the ids of events without an own one are made of, without any generation.
        events: the good ones, each with its position when first seen.
        rejects: the bad ones of an array, as (position, why).
        total: how many events the body holds, pending or not.
        notices: stable words for what was accepted but is worth knowing.
        acknowledge: why the message may be acknowledged although it holds nothing to send.
    """

    envelope: str
    base_id: str
    events: tuple[Event, ...]
    rejects: tuple[tuple[int, Reject], ...] = ()
    total: int
    notices: tuple[str, ...] = ()
    acknowledge: str | None = None


NOTHING_PENDING = "nothing-pending"
"""Why a redriven message without a pending event may be acknowledged."""

MAX_NOTICES = 20
"""A message that is odd in a hundred ways needs no hundred words."""


def decode(message: Message, rules: Rules) -> Decoded | Reject:
    """The message's pending events, or why it can have none.

    A `Reject` is about the message as a whole; the bad events of an array are in `rejects`, beside
    the good ones. Never raises, whatever the bytes and attributes are.
    """
    try:
        return _decoded(message, rules)
    except InvalidContent as unfit:
        return unfit.reject


def _decoded(message: Message, rules: Rules) -> Decoded | Reject:
    past = _past(message)
    letter = _letter(message, past, rules)
    base, notices = ids.base_id(message, past, letter, rules)
    drafts = _pending(letter, past)
    made = _maker(message, past, letter, base, inside=rules.trace_in_data)
    events, rejects = _sorted(drafts, made, rules.max_event_bytes)
    if rejects and not letter.array:
        return rejects[0][1]
    return Decoded(
        envelope=letter.kind,
        base_id=base,
        events=tuple(events),
        rejects=tuple(rejects),
        total=len(letter.drafts),
        notices=_notices(letter, drafts, events, notices),
        acknowledge=letter.acknowledge if drafts else letter.acknowledge or NOTHING_PENDING,
    )


def _past(message: Message) -> Origin | None:
    try:
        return origin_of(message)
    except UnreadableOrigin as error:
        raise InvalidContent("bad_origin", str(error)) from None


def _letter(message: Message, past: Origin | None, rules: Rules) -> OpenedEnvelope:
    firing = message.task or (PeriodicTask(*past.task) if past and past.task else None)
    if firing is not None:
        return aws.periodic_task(firing, message.queue, rules.task_prefix)
    try:
        body = decode_body(message.body, past.encoding) if past else message.body
    except ValueError as error:
        raise InvalidContent(
            "bad_origin", f"the dead letter's body cannot be restored: {error}"
        ) from None
    return opened(body, rules.envelope, rules.max_events)


def _pending(letter: OpenedEnvelope, past: Origin | None) -> list[tuple[int, EventDraft | Reject]]:
    """The drafts still to be delivered, with their positions."""
    if past is None or past.pending is None:
        return list(enumerate(letter.drafts))
    total = len(letter.drafts)
    if any(index >= total for index in past.pending):
        raise InvalidContent(
            "bad_origin", f"the message waits for events that its {total} do not include"
        )
    return [(index, letter.drafts[index]) for index in sorted(set(past.pending))]


def _maker(
    message: Message, past: Origin | None, letter: OpenedEnvelope, base: str, *, inside: bool
) -> Callable[[int, EventDraft], Event]:
    """What makes a draft an event, with all that is the same for each event of the message.

    `inside` puts the trace into the data as well.
    """
    sent = fields.of_seconds(past.sent_at) if past else None
    ts = letter.ts or sent or fields.of_seconds(message.sent_at)
    trace = _trace(message, letter)
    generation = past.generation if past else 0

    def made(index: int, draft: EventDraft) -> Event:
        return Event(
            id=ids.event_id(draft, letter, base, index, generation),
            name=draft.name,
            data=trace_context.with_traceparent(draft.data, trace) if inside else draft.data,
            ts=draft.ts or ts,
            v=draft.v,
            user=draft.user,
            index=index,
            message_id=message.message_id,
            trace=trace,
        )

    return made


def _sorted(
    drafts: Sequence[tuple[int, EventDraft | Reject]],
    made: Callable[[int, EventDraft], Event],
    max_bytes: int,
) -> tuple[list[Event], list[tuple[int, Reject]]]:
    """The good ones and the bad ones."""
    events: list[Event] = []
    rejects: list[tuple[int, Reject]] = []
    for index, draft in drafts:
        if isinstance(draft, Reject):
            rejects.append((index, draft))
        elif _fits(event := made(index, draft), max_bytes):
            events.append(event)
        else:
            size = f"{len(event.wire)} bytes, more than {max_bytes}"
            rejects.append((index, Reject("event_too_large", f"the event has {size}")))
    return events, rejects


def _fits(event: Event, max_bytes: int) -> bool:
    """Whether the encoded event is small enough; encoded now only where it is a near thing."""
    texts = len(event.id) + len(event.name) + len(event.v or "")
    # An escaped character takes up to 12 bytes; 100 cover the keys and the time.
    most = 100 + 12 * texts + len(event.data or b"") + len(event.user or b"")
    return most <= max_bytes or len(event.wire) <= max_bytes


def _trace(message: Message, letter: OpenedEnvelope) -> str | None:
    """The producer's W3C trace parent, where it is well formed; else what AWS's own header says."""
    told = ids.attribute(message, letter, trace_context.TRACEPARENT) or letter.trace
    return trace_context.valid_traceparent(told) or trace_context.from_x_ray(message.trace_header)


def _notices(
    letter: OpenedEnvelope,
    drafts: Sequence[tuple[int, EventDraft | Reject]],
    events: Sequence[Event],
    first: tuple[str, ...],
) -> tuple[str, ...]:
    found = [*first, *letter.notices]
    for _, draft in drafts:
        if isinstance(draft, EventDraft):
            found += draft.notices
    if len(events) > 1 and len({event.id for event in events}) < len(events):
        found.append("repeated-id")
    return tuple(dict.fromkeys(found))[:MAX_NOTICES] if found else ()
