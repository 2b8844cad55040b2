"""The log line about one message, at its end."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from secrets import token_hex
from typing import NamedTuple, TypeVar

from msgspec import Struct
from msgspec.structs import replace

from relay.model.event import Event
from relay.model.facts import Forwarded, Settled
from relay.model.outcome import Delivered, Outcome, Reject, Retry

REMEMBERED = 50_000
"""Events. Those that never settle here, because their message was withdrawn, are forgotten."""


class Attempt(NamedTuple):
    """The last request that an event was in: its batch's name and size, and the count so far."""

    number: int
    batch: str
    batch_events: int


class Attempts(dict[str, Attempt]):
    """The attempts of events, by the events' ids. Whoever tells of one takes it out.

    Args:
        prefix: makes what batches of different processes and starts differ in.
        limit: how many events are remembered.
    """

    def __init__(
        self, prefix: Callable[[], str] = lambda: token_hex(3), *, limit: int = REMEMBERED
    ) -> None:
        super().__init__()
        self._prefix = prefix()
        self._limit = limit
        self._batches = 0

    def note(self, fact: Forwarded) -> None:
        """A request ended."""
        self._batches += 1
        name = f"{self._prefix}-{self._batches}"
        sent = dict.fromkeys([event.id for event in fact.sent], Attempt(1, name, fact.events))
        if not self.keys().isdisjoint(sent):
            for again in self.keys() & sent:
                sent[again] = Attempt(self.pop(again).number + 1, name, fact.events)
        self.update(sent)
        while len(self) > self._limit:
            del self[next(iter(self))]


WORDS: dict[type[Outcome], str] = {Delivered: "delivered", Retry: "retried", Reject: "rejected"}
"""What `outcome` says. Rejected is a message whose copy is in the dead-letter queue."""

LEVELS = {"delivered": logging.INFO, "retried": logging.INFO, "rejected": logging.WARNING}
"""How severe a message's outcome is."""

EVENTS = 100
"""Events of one message in one line; a message of more has several, so that each line is read."""

LONGEST = 500
"""Characters of a reason. Some are a server's words."""

_HEADS = {
    kind: (word, logging.getLevelName(LEVELS[word]), f"message {word}")
    for kind, word in WORDS.items()
}
_TRACE_ID = slice(3, 35)
_UNSENT = (None, None, None)

_WHOLE = 1.5 * 2.0**52
"""Adding this to a number and taking it off again leaves a whole one, by how floats are made.
`floor` takes four times as long, and `round` longer still."""


class Entry(Struct, kw_only=True, omit_defaults=True, gc=False):
    """What became of one event of several; `index` is its place where it was not even tried."""

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
    after: float | None = None


class Line(Struct, omit_defaults=True, gc=False):
    """The fields of a line about a message that simply went through, in the order of writing.

    Those that are not set are left out. `docs/logs.md` says what each of them means.
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


class LongLine(Line, omit_defaults=True, gc=False):
    """The fields of any line: fewer are quicker to write."""

    reason: str | None = None
    code: str | None = None
    may_have_run: bool = False
    after: float | None = None
    event_count: int | None = None
    part: int | None = None
    parts: int | None = None
    events: Sequence[Entry] = ()
    incomplete_copy: bool = False
    data: str | None = None
    body: str | None = None


_Line = TypeVar("_Line", Line, LongLine)
_Told = TypeVar("_Told", LongLine, Entry)


class MessageLines:
    """Makes the lines about messages.

    Args:
        service: named in each of them.
        attempts: what is known of the events' requests, taken from it with each line.
        payload: put the events' data into them.
    """

    def __init__(self, service: str, attempts: Attempts, *, payload: bool = False) -> None:
        self._service = service
        self._attempt_of = attempts.pop
        self._payload = payload

    def of(
        self, fact: Settled, event: Event | None, format_timestamp: str, kind: type[_Line]
    ) -> _Line:
        """The line about the message and its only event, if it has one.

        It is all that is to be told if the event was delivered: that is a `Line`. `stamp` is the
        time as it is written.
        """
        message, outcome, sent = fact.message, fact.outcome, fact.message.sent_at
        event_id = name = trace = attempts = batch = batch_events = reference = None
        duplicate = False
        if event is not None:
            event_id, name, trace = event.id, event.name, event.trace
            attempts, batch, batch_events = self._attempt_of(event_id, _UNSENT)
        if type(outcome) is Delivered:
            reference, duplicate = outcome.reference, outcome.duplicate
        # What the message came to counts: a refusal that found no place is to be tried again.
        word, level, sentence = _HEADS[type(outcome)]
        # The fields in their order, for by name or one after the other they take twice as long.
        # Times have three decimals.
        return kind(
            format_timestamp,
            level,
            self._service,
            sentence,
            word,
            message.message_id,
            message.queue,
            message.receive_count,
            (fact.seconds * 1_000 + _WHOLE - _WHOLE) / 1_000,
            None if sent is None else ((fact.at - sent) * 1_000 + _WHOLE - _WHOLE) / 1_000,
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

    def lines_of(self, fact: Settled, format_timestamp: str) -> Sequence[LongLine]:
        """Whatever there is to tell of the message: several lines if it held very many events."""
        many = fact.rejects or len(fact.results) > 1
        event = fact.results[0][0] if fact.results and not many else None
        line = self.of(fact, event, format_timestamp, LongLine)
        if not isinstance(fact.outcome, Delivered):
            _explained(line, fact.outcome)
        if many:
            return list(self._parts(line, fact))
        if self._payload:
            line.body = _text(fact.message.body) if event is None else None
            line.data = _text(event.data) if event is not None else None
        return [line]

    def _parts(self, line: LongLine, fact: Settled) -> Iterator[LongLine]:
        entries = [
            *(self._entry(event, outcome) for event, outcome in fact.results),
            *(
                _explained(Entry(index=index, outcome=WORDS[Reject]), reject)
                for index, reject in fact.rejects
            ),
        ]
        line.event_count = len(entries)
        parts = range(0, len(entries), EVENTS)
        for number, start in enumerate(parts, 1):
            if len(parts) > 1:
                line.part, line.parts = number, len(parts)
            yield replace(line, events=entries[start : start + EVENTS])

    def _entry(self, event: Event, outcome: Outcome) -> Entry:
        entry = Entry(id=event.id, name=event.name, outcome=WORDS[type(outcome)])
        entry.attempts, entry.batch, entry.batch_events = self._attempt_of(event.id, _UNSENT)
        if event.trace is not None:
            entry.trace_id = event.trace[_TRACE_ID]
        if self._payload:
            entry.data = _text(event.data)
        if not isinstance(outcome, Delivered):
            return _explained(entry, outcome)
        entry.reference, entry.duplicate = outcome.reference, outcome.duplicate
        return entry


def format_timestamp(at: float) -> str:
    """A time as it is written in a line: UTC, with milliseconds."""
    second, milliseconds = divmod(int(at * 1_000), 1_000)
    return f"{_to_the_second(second)}.{milliseconds:03}+00:00"


@lru_cache(maxsize=2)
def _to_the_second(second: int) -> str:
    return datetime.fromtimestamp(second, UTC).strftime("%Y-%m-%dT%H:%M:%S")


def _text(data: bytes | None) -> str | None:
    return None if data is None else data.decode(errors="replace")


def _explained(told: _Told, outcome: Retry | Reject) -> _Told:
    """The line or entry, with why it was not delivered."""
    told.reason = outcome.reason[:LONGEST]
    if isinstance(outcome, Reject):
        told.code = outcome.code
        told.may_have_run = outcome.may_have_run
    elif outcome.after is not None:
        told.after = round(outcome.after, 1)
    return told
