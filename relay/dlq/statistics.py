"""Statistics of a dead-letter queue: how many, how old, when SQS deletes them, of which kinds."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec

from relay.dlq.claims import claimed_id
from relay.dlq.dead_letter import DeadLetter
from relay.model.encoded_body import decode_body
from relay.model.message import Message
from relay.output.times import format_hour

NO_EVENT = "(no event)"
"""Used as the event name of what the relay would reject again."""

GROUPINGS = ("name", "code", "source", "hour", "shape")
_MAX_KINDS = 1_000
_OTHERS = "(others)"
_MAX_SHAPE = 100
_SHAPE_DEPTH = 3


@dataclass(frozen=True, slots=True)
class Expiry:
    """When SQS deletes a message, in epoch seconds; the earliest time if it is not `exact`."""

    at: float
    exact: bool = True


def expiry(message: Message, retention: float, *, fifo: bool) -> Expiry | None:
    """When SQS deletes this message of a dead-letter queue; None if its age is not known.

    SQS counts the retention from the enqueue time. A message that it moves to a standard
    dead-letter queue keeps the enqueue time of its first queue, so a message of one day in a queue
    with a retention of four has three days left. A move to a FIFO queue restarts the count, and
    the time of the move is not reported. The relay's own copy is a new message: its retention
    starts with the copy (Amazon SQS developer guide, "Dead-letter queue retention").
    """
    if message.sent_at is None:
        return None
    moved_by_sqs = message.dead_letter_source is not None
    return Expiry(message.sent_at + retention, exact=not (moved_by_sqs and fifo))


def name_of(dead_letter: DeadLetter) -> str:
    """The name of its first pending event, or `NO_EVENT`."""
    return dead_letter.name or NO_EVENT


def id_of(dead_letter: DeadLetter) -> str:
    """The id that the relay's log has for it: its first pending event's, else its base id.

    The MessageId of a dead letter that the relay sent is new, and in no log.
    """
    if dead_letter.events:
        return dead_letter.events[0].id
    claimed = (own for claim in dead_letter.claims if (own := claimed_id(claim)))
    return next(claimed, dead_letter.base_id)


def shape(body: bytes, encoding: str | None = None) -> str:
    """A short text that is the same for all bodies of one structure, whatever their values."""
    try:
        body = decode_body(body, encoding)
    except ValueError:
        return "a damaged encoded body"
    if not body.strip():
        return "empty"
    try:
        return _cut(_shape_of(msgspec.json.decode(body), _SHAPE_DEPTH))
    except (ValueError, RecursionError):
        return _not_json(body)


@dataclass(slots=True)
class Group:
    """The dead letters with one event name and one code. `sample` is the id of one, by `id_of`."""

    count: int = 0
    events: int = 0
    oldest: float | None = None
    newest: float | None = None
    expires: float | None = None
    sample: str = ""
    reason: str = ""


@dataclass(slots=True)
class Statistics:
    """Counts of dead letters, bounded however many kinds there are.

    Attributes:
        retention: of the queue, in seconds.
        fifo: whether it is a FIFO queue.
        now: epoch seconds, to find out what SQS has deleted since a snapshot; None for dead
            letters that were in the queue just now.
        count: dead letters.
        expired: those of them that SQS has deleted by `now`.
        events: pending events in them.
        oldest: the earliest first sending, in epoch seconds.
        first_expiry: the earliest expiry that is still to come.
        groups: by event name and code.
        counts: for each of `GROUPINGS`.
    """

    retention: float
    fifo: bool
    now: float | None = None
    count: int = 0
    expired: int = 0
    events: int = 0
    oldest: float | None = None
    first_expiry: Expiry | None = None
    groups: dict[tuple[str, str], Group] = field(default_factory=dict)
    counts: dict[str, Counter[str]] = field(
        default_factory=lambda: {name: Counter() for name in GROUPINGS}
    )

    def add(self, dead_letter: DeadLetter) -> None:
        """Count one more."""
        self.count += 1
        self.events += len(dead_letter.events)
        self.oldest = _least(self.oldest, dead_letter.first_sent_at)
        expires = expiry(dead_letter.message, self.retention, fifo=self.fifo)
        if self.now is not None and expires and expires.exact and expires.at <= self.now:
            self.expired += 1
        elif expires and (self.first_expiry is None or expires.at < self.first_expiry.at):
            self.first_expiry = expires
        self._add_to_group(dead_letter, expires)
        for grouping, key in group_keys(dead_letter).items():
            counter = self.counts[grouping]
            counter[key if key in counter or len(counter) < _MAX_KINDS else _OTHERS] += 1

    def _add_to_group(self, dead_letter: DeadLetter, expires: Expiry | None) -> None:
        key = (name_of(dead_letter), dead_letter.code)
        if key not in self.groups and len(self.groups) >= _MAX_KINDS:
            key = (_OTHERS, _OTHERS)
        group = self.groups.setdefault(key, Group())
        group.count += 1
        group.events += len(dead_letter.events)
        group.oldest = _least(group.oldest, dead_letter.first_sent_at)
        group.newest = _most(group.newest, dead_letter.first_sent_at)
        group.expires = _least(group.expires, expires.at if expires else None)
        group.sample = group.sample or id_of(dead_letter)
        group.reason = group.reason or dead_letter.reason

    def as_json(self) -> dict[str, Any]:
        """Everything as JSON values, the largest groups first."""
        first = self.first_expiry
        return {
            "count": self.count,
            "events": self.events,
            "expired": self.expired,
            "oldest": self.oldest,
            "first_expiry": first.at if first else None,
            "first_expiry_exact": first.exact if first else None,
            "groups": [
                {"name": name, "code": code, **_fields(group)}
                for (name, code), group in self.largest()
            ],
            "by": {name: dict(counter.most_common()) for name, counter in self.counts.items()},
        }

    def largest(self) -> list[tuple[tuple[str, str], Group]]:
        """The groups, the largest first."""
        return sorted(self.groups.items(), key=lambda item: (-item[1].count, item[0]))


def group_keys(dead_letter: DeadLetter) -> Mapping[str, str]:
    """The value of each of `GROUPINGS`."""
    encoding = dead_letter.origin.encoding if dead_letter.origin else None
    return {
        "name": name_of(dead_letter),
        "code": dead_letter.code,
        "source": dead_letter.source or "(unknown)",
        "hour": format_hour(dead_letter.message.sent_at),
        "shape": shape(dead_letter.message.body, encoding),
    }


def _fields(group: Group) -> dict[str, Any]:
    return {name: getattr(group, name) for name in Group.__slots__}


def _least(one: float | None, other: float | None) -> float | None:
    return min((value for value in (one, other) if value is not None), default=None)


def _most(one: float | None, other: float | None) -> float | None:
    return max((value for value in (one, other) if value is not None), default=None)


def _shape_of(value: Any, depth: int) -> str:
    if isinstance(value, dict):
        if not depth:
            return "{…}"
        return "{" + ",".join(f"{k}:{_shape_of(value[k], depth - 1)}" for k in sorted(value)) + "}"
    if isinstance(value, list):
        shapes = {_shape_of(item, depth - 1) for item in value[:50]}
        return "[" + "|".join(sorted(shapes)) + "]"
    return "null" if value is None else type(value).__name__


def _not_json(body: bytes) -> str:
    try:
        body.decode()
    except UnicodeDecodeError:
        return "not UTF-8"
    return "text"


def _cut(text: str) -> str:
    return text if len(text) <= _MAX_SHAPE else text[: _MAX_SHAPE - 1] + "…"
