"""An errand: which letters of a queue are meant, and what is to be done to each before it goes."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from relay.dlq.dead_letter import DeadLetter
from relay.model.message import Message

FILTERED = "filtered"
ARRIVED = "arrived"
LIMIT = "limit"
AS_WISHED = frozenset({FILTERED, ARRIVED, LIMIT})
"""What stays for these was not to be touched; anything else is work that is left."""


@dataclass(frozen=True, slots=True)
class Skipped:
    """It stays in the dead-letter queue. `code` is stable, `reason` a sentence for a person."""

    code: str
    reason: str


BLOCKED = Skipped("blocked", "one before it in its group stays, and none may overtake it")


MAX_HOPS = 5
"""A letter that has died so often has a reason that another round does not mend."""


UNREAD = Skipped(
    "payload",
    "its ids hang on an object in S3 that was not read: name its bucket in RELAY_PAYLOAD_BUCKETS",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """What an operator asked for.

    Attributes:
        read: reads a message; raises `AwsError` where its payload cannot be had now.
        meant: whether a letter is meant.
        alter: edits it, or says why that cannot be.
        limit: the most letters to bring in the whole run, those that its journal knows included;
            None for all.
        max_hops: letters with so many are left.
        each: whether every message counts for itself, copies of one event too.
        expected: MessageIds that should be met: those that are not are missing.
    """

    read: Callable[[Message], Awaitable[DeadLetter]]
    meant: Callable[[DeadLetter], bool]
    modify: Callable[[DeadLetter], DeadLetter | Skipped]
    limit: int | None = None
    max_hops: int = MAX_HOPS
    each: bool = False
    expected: frozenset[str] = frozenset()

    def choose(self, letter: DeadLetter, began_at: float) -> Skipped | None:
        """Why the letter is not to be touched, or None."""
        if not self.meant(letter):
            return Skipped(FILTERED, "it does not pass the filters")
        sent = letter.message.sent_at
        if sent is not None and sent > began_at:
            return Skipped(ARRIVED, "it came after the run began")
        if without_id(letter):
            return UNREAD
        if letter.hops >= self.max_hops:
            return Skipped(
                "max_hops",
                f"it has died {letter.hops} times: see why, and raise --max-hops to try again",
            )
        return None


def without_id(letter: DeadLetter) -> bool:
    """Whether the ids of its events hang on what was not read, so that they would change."""
    return letter.sealed and not letter.noted


@dataclass(slots=True)
class RunControl:
    """A run's way: `stop` is asked for from outside, `enough` is known inside."""

    stop: asyncio.Event
    enough: bool = False

    def ended(self) -> bool:
        """Whether nothing more should be received."""
        return self.enough or self.stop.is_set()


@dataclass(slots=True)
class Counts:
    """Counts of letters.

    Attributes:
        met: received for the first time.
        brought: safely where they were to go, by this run or the part of it before.
        copies: of letters that were brought, so that they need not go themselves.
        deleted: gone from the dead-letter queue.
        owed: brought, and not deleted yet: the run must be taken up again.
        stays: what stays, by its code; `reasons` has a sentence for each.
        stopped: why the run stopped itself, or None.
        failed: what ended it early, a sentence, or None.
        missing: expected, and not in the queue.
        out_of_reach: what the queue held besides, which SQS did not hand out; `why` says why.
    """

    met: int = 0
    brought: int = 0
    copies: int = 0
    deleted: int = 0
    owed: int = 0
    stays: Counter[str] = field(default_factory=Counter)
    reasons: dict[str, str] = field(default_factory=dict)
    stopped: str | None = None
    failed: str | None = None
    interrupted: bool = False
    missing: int = 0
    out_of_reach: int = 0
    why: str = ""

    def stay(self, stays: Skipped) -> None:
        """One more stays."""
        self.stays[stays.code] += 1
        self.reasons.setdefault(stays.code, stays.reason)

    @property
    def complete(self) -> bool:
        """Whether everything that was meant is done."""
        left = set(self.stays) - AS_WISHED or self.owed or self.missing or self.out_of_reach
        return not (left or self.stopped or self.failed or self.interrupted)

    def as_json(self) -> dict[str, Any]:
        """The counts as JSON values."""
        return {
            "met": self.met,
            "brought": self.brought,
            "copies": self.copies,
            "deleted": self.deleted,
            "owed": self.owed,
            "stays": dict(self.stays),
            "reasons": {c: r for c, r in self.reasons.items() if c not in AS_WISHED},
            "stopped": self.stopped,
            "failed": self.failed,
            "interrupted": self.interrupted,
            "missing": self.missing,
            "out_of_reach": self.out_of_reach,
        }
