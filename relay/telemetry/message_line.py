"""The log line about one message, at its end."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from typing import TypeVar

from msgspec import Struct

from relay.facts import Settled
from relay.message import Delivered, Event, Outcome, Reject, Retry
from relay.telemetry.attempts import Attempts

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


class Line(Struct, kw_only=True, omit_defaults=True, gc=False):
    """The fields of a line, in the order in which they are written. Those not set are left out.

    `docs/logs.md` says what each of them means.
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
    data: str | None = None
    body: str | None = None
    reference: str | None = None
    duplicate: bool = False
    reason: str | None = None
    code: str | None = None
    may_have_run: bool = False
    after: float | None = None
    event_count: int | None = None
    part: int | None = None
    parts: int | None = None
    events: Sequence[Entry] = ()
    stand_in: bool = False


_Told = TypeVar("_Told", Line, Entry)


class MessageLines:
    """Makes the lines about messages.

    Args:
        service: named in each of them.
        attempts: what is known of the events' requests, taken from it with each line.
        payload: put the events' data into them.
    """

    def __init__(self, service: str, attempts: Attempts, *, payload: bool = False) -> None:
        self._service = service
        self._attempts = attempts
        self._payload = payload

    def of(self, fact: Settled, stamp: str) -> Sequence[Line]:
        """The message's line, or its lines where it held very many events.

        `stamp` is the time as it is written.
        """
        if fact.rejects or len(fact.results) > 1:
            return tuple(self._several(fact, stamp))
        line = self._about(fact, stamp)
        for event, _ in fact.results:
            line.event_id, line.event_name = event.id, event.name
            self._sending(event, line)
        if self._payload and not fact.results:
            line.body = fact.message.body.decode(errors="replace")
        return (line,)

    def _several(self, fact: Settled, stamp: str) -> Iterator[Line]:
        entries = [
            *(self._entry(event, outcome) for event, outcome in fact.results),
            *(
                _explained(Entry(index=index, outcome=WORDS[Reject]), reject)
                for index, reject in fact.rejects
            ),
        ]
        parts = range(0, len(entries), EVENTS)
        for number, start in enumerate(parts, 1):
            line = self._about(fact, stamp)
            line.event_count = len(entries)
            if len(parts) > 1:
                line.part, line.parts = number, len(parts)
            line.events = entries[start : start + EVENTS]
            yield line

    def _about(self, fact: Settled, stamp: str) -> Line:
        # What the message came to counts: a refusal that found no place is to be tried again.
        # Times have three decimals, without `round`, which goes through their digits.
        message, outcome, sent = fact.message, fact.outcome, fact.message.sent_at
        word, level, sentence = _HEADS[type(outcome)]
        line = Line(
            timestamp=stamp,
            level=level,
            service=self._service,
            message=sentence,
            outcome=word,
            message_id=message.message_id,
            queue=message.queue,
            receive_count=message.receive_count,
            seconds=(fact.seconds * 1_000 + 0.5) // 1 / 1_000,
            age=None if sent is None else ((fact.at - sent) * 1_000 + 0.5) // 1 / 1_000,
            group_id=message.group_id,
            notices=fact.notices,
        )
        if not isinstance(outcome, Delivered):
            return _explained(line, outcome)
        line.reference, line.duplicate = outcome.reference, outcome.duplicate
        return line

    def _entry(self, event: Event, outcome: Outcome) -> Entry:
        entry = Entry(id=event.id, name=event.name, outcome=WORDS[type(outcome)])
        self._sending(event, entry)
        if not isinstance(outcome, Delivered):
            return _explained(entry, outcome)
        entry.reference, entry.duplicate = outcome.reference, outcome.duplicate
        return entry

    def _sending(self, event: Event, told: Line | Entry) -> None:
        attempt = self._attempts.pop(event.id, None)
        if attempt is not None:
            told.attempts, told.batch, told.batch_events = attempt
        if event.trace is not None:
            told.trace_id = event.trace[_TRACE_ID]
        if self._payload and event.data is not None:
            told.data = event.data.decode(errors="replace")


def stamp(at: float) -> str:
    """A time as it is written in a line: UTC, with milliseconds."""
    second, milliseconds = divmod(int(at * 1_000), 1_000)
    return f"{_to_the_second(second)}.{milliseconds:03}+00:00"


@lru_cache(maxsize=2)
def _to_the_second(second: int) -> str:
    return datetime.fromtimestamp(second, UTC).strftime("%Y-%m-%dT%H:%M:%S")


def _explained(told: _Told, outcome: Retry | Reject) -> _Told:
    """The line or entry, with why it was not delivered."""
    told.reason = outcome.reason[:LONGEST]
    if isinstance(outcome, Reject):
        told.code = outcome.code
        told.may_have_run = outcome.may_have_run
    elif outcome.after is not None:
        told.after = round(outcome.after, 1)
    return told
