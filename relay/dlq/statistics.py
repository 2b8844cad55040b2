"""What is in a dead-letter queue: how much, how old, for how long still, and of which kinds."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from relay.dlq.claims import shape
from relay.dlq.dead_letter import DeadLetter
from relay.dlq.filters import format_hour
from relay.model.message import Message


@dataclass(frozen=True, slots=True)
class Expiry:
    """The moment, epoch seconds. Where it is not `exact`, it is no earlier than that."""

    at: float
    exact: bool = True


def expiry(message: Message, retention: float, *, fifo: bool) -> Expiry | None:
    """When SQS deletes this message of a dead-letter queue; None where its age is not told.

    SQS counts the retention from the enqueue time. What it moves to a standard dead-letter queue
    keeps the time of its first queue, so a letter of one day in a queue that keeps four has three
    days left. A move to a FIFO queue starts the count anew without telling when. The relay's own
    copy is a new message: it counts from the copy (Amazon SQS developer guide, "Dead-letter queue
    retention").
    """
    if message.sent_at is None:
        return None
    moved = message.dead_letter_source is not None
    return Expiry(message.sent_at + retention, exact=not (moved and fifo))


NO_EVENT = "(no event)"
"""Stands for the name of what the relay would reject again."""

GROUPINGS = ("name", "code", "source", "hour", "shape")
_MANY = 1_000
_OTHERS = "(others)"


def name_of(letter: DeadLetter) -> str:
    """The name of its first pending event, or `NO_EVENT`."""
    return letter.name or NO_EVENT


@dataclass(slots=True)
class Group:
    """The letters of one name and code."""

    count: int = 0
    events: int = 0
    oldest: float | None = None
    newest: float | None = None
    expires: float | None = None
    sample: str = ""
    reason: str = ""


@dataclass(slots=True)
class Statistics:
    """Counts that letters are added to. Bounded, however many kinds there are.

    `first_expiry` is the earliest that is still to come; `oldest` the earliest first sending, both
    epoch seconds. `gone` counts letters whose time in the queue was over at `now`;
    of those that were there just now, with None, it counts none.
    """

    retention: float
    fifo: bool
    now: float | None = None
    count: int = 0
    gone: int = 0
    events: int = 0
    oldest: float | None = None
    first_expiry: Expiry | None = None
    groups: dict[tuple[str, str], Group] = field(default_factory=dict)
    counts: dict[str, Counter[str]] = field(
        default_factory=lambda: {name: Counter() for name in GROUPINGS}
    )

    def add(self, letter: DeadLetter) -> None:
        """Count one more."""
        self.count += 1
        self.events += len(letter.events)
        self.oldest = _least(self.oldest, letter.first_sent_at)
        ends = expiry(letter.message, self.retention, fifo=self.fifo)
        if self.now is not None and ends and ends.exact and ends.at <= self.now:
            self.gone += 1
        elif ends and (self.first_expiry is None or ends.at < self.first_expiry.at):
            self.first_expiry = ends
        self._group(letter, ends)
        for grouping, key in _keys(letter).items():
            counter = self.counts[grouping]
            counter[key if key in counter or len(counter) < _MANY else _OTHERS] += 1

    def _group(self, letter: DeadLetter, ends: Expiry | None) -> None:
        key = (name_of(letter), letter.code)
        if key not in self.groups and len(self.groups) >= _MANY:
            key = (_OTHERS, _OTHERS)
        group = self.groups.setdefault(key, Group())
        group.count += 1
        group.events += len(letter.events)
        group.oldest = _least(group.oldest, letter.first_sent_at)
        group.newest = _most(group.newest, letter.first_sent_at)
        group.expires = _least(group.expires, ends.at if ends else None)
        group.sample = group.sample or letter.message.message_id
        group.reason = group.reason or letter.reason

    def as_json(self) -> dict[str, Any]:
        """All of it as JSON values, the largest groups first."""
        first = self.first_expiry
        return {
            "count": self.count,
            "events": self.events,
            "gone": self.gone,
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


def _keys(letter: DeadLetter) -> Mapping[str, str]:
    encoding = letter.origin.encoding if letter.origin else None
    return {
        "name": name_of(letter),
        "code": letter.code,
        "source": letter.source or "(unknown)",
        "hour": format_hour(letter.message.sent_at),
        "shape": shape(letter.message.body, encoding),
    }


def _fields(group: Group) -> dict[str, Any]:
    return {name: getattr(group, name) for name in Group.__slots__}


def _least(one: float | None, other: float | None) -> float | None:
    return min((value for value in (one, other) if value is not None), default=None)


def _most(one: float | None, other: float | None) -> float | None:
    return max((value for value in (one, other) if value is not None), default=None)
