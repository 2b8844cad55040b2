"""Reads the events that a producer sends, and refuses them as a whole if one of them is invalid."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from relay.envelope.detection import checked_text
from relay.envelope.ids import bounded_id
from relay.envelope.inngest import event_array, parse_event
from relay.envelope.json_document import parse_document
from relay.envelope.opened_envelope import EventDraft, InvalidContent
from relay.model.event import Event
from relay.model.outcome import Reject
from relay.publishing.ids import Seed

MAX_EVENTS = 5_000
"""Events in one request, as Inngest documents it."""

MAX_EVENT_BYTES = 3_145_728
"""Bytes of one event, as Inngest documents it."""

TOO_LARGE = "event_too_large"


class InvalidEvents(ValueError):
    """The events cannot be published, and none of them was.

    Attributes:
        code: stable, for machines; one of the codes in docs/message.md.
        position: the position of the invalid event, counted from 1; None if the request as a whole
            is invalid.
    """

    def __init__(self, code: str, reason: str, position: int | None = None) -> None:
        self.code = code
        self.position = position
        super().__init__(reason if position is None else f"event {position}: {reason}")

    @property
    def too_large(self) -> bool:
        """Whether a smaller request or event would be accepted."""
        return self.code in (TOO_LARGE, "too_many_events")


@dataclass(frozen=True, slots=True, kw_only=True)
class EventLimits:
    """What one call may publish: the most events, and the most bytes of one event."""

    max_events: int = MAX_EVENTS
    max_event_bytes: int = MAX_EVENT_BYTES


def read_events(
    body: bytes,
    seed: Seed,
    limits: EventLimits,
    *,
    trace: str | None = None,
    env: str | None = None,
) -> list[Event]:
    """The events of a JSON text: one object or an array of objects.

    An event without an own id gets one from the seed and its position.

    Raises:
        InvalidEvents: the text is not what an event API accepts, or one of the events is not.
    """
    try:
        drafts = _drafts(body, limits.max_events)
    except InvalidContent as error:
        raise InvalidEvents(error.reject.code, error.reject.reason) from None
    return [
        _event(draft, position, seed, limits, trace, env)
        for position, draft in enumerate(drafts, 1)
    ]


def _drafts(body: bytes, max_events: int) -> Sequence[EventDraft | Reject]:
    text = checked_text(body)
    if not text.startswith(b"["):
        document = parse_document(text)
        try:
            return [parse_event(document)]
        except InvalidContent as error:
            return [error.reject]
    if text[1:].lstrip() == b"]":
        return ()  # nothing to publish, and Inngest accepts it
    return event_array(text, max_events).drafts


def _event(
    draft: EventDraft | Reject,
    position: int,
    seed: Seed,
    limits: EventLimits,
    trace: str | None,
    env: str | None,
) -> Event:
    if isinstance(draft, Reject):
        raise InvalidEvents(draft.code, draft.reason, position)
    event = Event(
        id=seed.id(position) if draft.id is None else bounded_id(draft.id),
        name=draft.name,
        data=draft.data,
        ts=draft.ts,
        v=draft.v,
        user=draft.user,
        meta=draft.meta,
        index=position - 1,
        trace=trace,
        env=env,
    )
    size = event.size
    if size > limits.max_event_bytes:
        reason = f"it has {size} bytes, more than {limits.max_event_bytes}"
        raise InvalidEvents(TOO_LARGE, reason, position)
    return event
