"""The log line of a message, written when the relay is done with it."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from typing import TypeVar

from msgspec import Struct
from msgspec.structs import replace

from relay.model.event import Event, Json
from relay.model.facts import Handled
from relay.model.message import Message
from relay.model.origin import UnreadableOrigin, origin_of
from relay.model.outcome import Delivered, Outcome, Reject, Retry, shortened
from relay.telemetry.attempts import Attempts

OUTCOME_WORDS: dict[type[Outcome], str] = {
    Delivered: "delivered",
    Retry: "retried",
    Reject: "rejected",
}
"""The field `outcome`. A rejected message has been copied to the dead-letter queue."""

LEVELS = {"delivered": logging.INFO, "retried": logging.INFO, "rejected": logging.WARNING}
"""The log level of each outcome."""

MAX_EVENTS = 100
"""Events in one line. A message with more has several lines, so that log tools read all of them."""

MAX_REASON = 500
"""Characters of a reason. Some reasons are a server's response."""

MAX_DATA = 65_536
"""Characters of events' data or of a body in one line. Log services refuse lines of a megabyte, and
redacting one takes the event loop as long as delivering hundreds of messages."""

_HEADINGS = {
    kind: (word, logging.getLevelName(LEVELS[word]), f"message {word}")
    for kind, word in OUTCOME_WORDS.items()
}
_TRACE_ID = slice(3, 35)
_NO_ATTEMPT = (None, None, None)

_ROUNDING = 1.5 * 2.0**52
"""Adding this to a float and subtracting it again rounds to a whole number, because a double has 52
bits for the fraction. `floor` takes four times as long, and `round` even longer."""


class EventEntry(Struct, kw_only=True, omit_defaults=True, gc=False):
    """The outcome of one event of several. `index` is the position of one that was not decoded."""

    id: str | None = None
    name: str | None = None
    index: int | None = None
    attempts: int | None = None
    batch: str | None = None
    batch_events: int | None = None
    trace_id: str | None = None
    data: str | None = None
    outcome: str
    reference: str | None = None
    duplicate: bool = False
    reason: str | None = None
    code: str | None = None
    may_have_run: bool = False
    retry_after: float | None = None


class DeliveredLine(Struct, omit_defaults=True, gc=False):
    """The line of a message whose only event was delivered; fields are written in this order.

    Fields with their default are left out. `docs/logs.md` explains each field.
    """

    timestamp: str
    level: str
    service: str
    message: str
    outcome: str
    message_id: str
    queue: str
    receive_count: int
    seconds: float
    age: float | None = None
    group_id: str | None = None
    notices: Sequence[str] = ()
    event_id: str | None = None
    event_name: str | None = None
    attempts: int | None = None
    batch: str | None = None
    batch_events: int | None = None
    trace_id: str | None = None
    reference: str | None = None
    duplicate: bool = False
    base_id: str | None = None
    hops: int | None = None


class FullLine(DeliveredLine, omit_defaults=True, gc=False):
    """The line of any message. The short form exists because fewer fields are faster to encode."""

    reason: str | None = None
    code: str | None = None
    may_have_run: bool = False
    retry_after: float | None = None
    event_count: int | None = None
    part: int | None = None
    parts: int | None = None
    events: Sequence[EventEntry] = ()
    incomplete_copy: bool = False
    data: str | None = None
    body: str | None = None


_Line = TypeVar("_Line", DeliveredLine, FullLine)
_LineOrEntry = TypeVar("_LineOrEntry", FullLine, EventEntry)


class MessageLines:
    """Makes the lines of messages.

    Args:
        service: the field `service` of each line.
        attempts: the attempts of the events; those of a line's events are removed.
        payload: include the events' data.
    """

    def __init__(self, service: str, attempts: Attempts, *, payload: bool = False) -> None:
        self._service = service
        self._attempt_of = attempts.pop
        self._payload = payload

    def of(self, fact: Handled, event: Event | None, timestamp: str, kind: type[_Line]) -> _Line:
        """The line of a message with this one event, or None if it has several or none.

        For a delivered message with one event that is the whole line, a `DeliveredLine`.
        """
        message, outcome, sent = fact.message, fact.outcome, fact.message.sent_at
        event_id = name = trace = attempts = batch = batch_events = reference = None
        duplicate = False
        if event is not None:
            event_id, name, trace = event.id, event.name, event.trace
            attempts, batch, batch_events = self._attempt_of(event_id, _NO_ATTEMPT)
        if type(outcome) is Delivered:
            reference, duplicate = outcome.reference, outcome.duplicate
        # The message's outcome, not the event's: an event that is rejected, but could not be
        # dead-lettered yet, is retried.
        word, level, sentence = _HEADINGS[type(outcome)]
        # Positional arguments: keywords or assignments take twice as long. Times are rounded to
        # milliseconds.
        line = kind(
            timestamp,
            level,
            self._service,
            sentence,
            word,
            message.message_id,
            message.queue,
            message.receive_count,
            (fact.seconds * 1_000 + _ROUNDING - _ROUNDING) / 1_000,
            None if sent is None else ((fact.at - sent) * 1_000 + _ROUNDING - _ROUNDING) / 1_000,
            message.group_id,
            fact.notices,
            event_id,
            name,
            attempts,
            batch,
            batch_events,
            None if trace is None else trace[_TRACE_ID],
            reference,
            duplicate,
        )
        if message.attributes:
            _add_history(line, message)
        return line

    def lines_of(self, fact: Handled, timestamp: str) -> Sequence[FullLine]:
        """All lines of a message: several if it has more than `MAX_EVENTS` events."""
        many = fact.rejects or len(fact.results) > 1
        event = fact.results[0][0] if fact.results and not many else None
        line = self.of(fact, event, timestamp, FullLine)
        if not isinstance(fact.outcome, Delivered):
            _with_reason(line, fact.outcome)
        if many:
            return list(self._parts(line, fact))
        if self._payload:
            line.body = _decoded(fact.message.body) if event is None else None
            line.data = _decoded(event.data) if event is not None else None
        return [line]

    def _parts(self, line: FullLine, fact: Handled) -> Iterator[FullLine]:
        entries = [
            *(self._entry(event, outcome) for event, outcome in fact.results),
            *(
                _with_reason(EventEntry(index=index, outcome=OUTCOME_WORDS[Reject]), reject)
                for index, reject in fact.rejects
            ),
        ]
        line.event_count = len(entries)
        parts = range(0, len(entries), MAX_EVENTS)
        for number, start in enumerate(parts, 1):
            if len(parts) > 1:
                line.part, line.parts = number, len(parts)
            part = entries[start : start + MAX_EVENTS]
            _shorten_data(part)
            yield replace(line, events=part)

    def _entry(self, event: Event, outcome: Outcome) -> EventEntry:
        entry = EventEntry(id=event.id, name=event.name, outcome=OUTCOME_WORDS[type(outcome)])
        entry.attempts, entry.batch, entry.batch_events = self._attempt_of(event.id, _NO_ATTEMPT)
        if event.trace is not None:
            entry.trace_id = event.trace[_TRACE_ID]
        if self._payload:
            entry.data = _decoded(event.data)
        if not isinstance(outcome, Delivered):
            return _with_reason(entry, outcome)
        entry.reference, entry.duplicate = outcome.reference, outcome.duplicate
        return entry


def format_timestamp(at: float) -> str:
    """The time in RFC 3339 format, UTC, with milliseconds."""
    second, milliseconds = divmod(int(at * 1_000), 1_000)
    return f"{_to_the_second(second)}.{milliseconds:03}+00:00"


@lru_cache(maxsize=2)
def _to_the_second(second: int) -> str:
    return datetime.fromtimestamp(second, UTC).strftime("%Y-%m-%dT%H:%M:%S")


def _decoded(data: Json | None) -> str | None:
    """The text of the data, as much of it as fits into a line."""
    if data is None:
        return None
    most = 4 * MAX_DATA  # bytes, of which a character has at most four
    return shortened(bytes(data[: most + 1]).decode(errors="replace"), MAX_DATA)


def _shorten_data(entries: Sequence[EventEntry]) -> None:
    """Shorten the data of a line's events so that all fit into it; the first are kept whole."""
    left = MAX_DATA
    for entry in entries:
        if entry.data is not None:
            entry.data = shortened(entry.data, max(1, left))
            left -= len(entry.data)


def _add_history(line: DeliveredLine, message: Message) -> None:
    """Add what links a redriven message to the lines about it before it was dead-lettered."""
    try:
        origin = origin_of(message)
    except UnreadableOrigin:
        return
    if origin is not None:
        line.base_id, line.hops = shortened(origin.id, MAX_REASON), origin.hops


def _with_reason(target: _LineOrEntry, outcome: Retry | Reject) -> _LineOrEntry:
    """The line or entry, with the reason why it was not delivered."""
    target.reason = shortened(outcome.reason, MAX_REASON)
    if isinstance(outcome, Reject):
        target.code = outcome.code
        target.may_have_run = outcome.may_have_run
    elif outcome.after is not None:
        target.retry_after = round(outcome.after, 1)
    return target
