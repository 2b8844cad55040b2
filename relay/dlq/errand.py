"""An errand: which letters of a queue are meant, and what is to be done to each before it goes."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from relay.dlq.letter import Letter
from relay.dlq.stays import ARRIVED, FILTERED, Stays
from relay.message import Message

MAX_HOPS = 5
"""A letter that has died so often has a reason that another round does not mend."""


UNREAD = Stays(
    "payload",
    "its ids hang on an object in S3 that was not read: name its bucket in RELAY_PAYLOAD_BUCKETS",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Errand:
    """What an operator asked for.

    Attributes:
        read: reads a message; raises `QueueError` where its payload cannot be had now.
        meant: whether a letter is meant.
        alter: edits it, or says why that cannot be.
        limit: the most letters to bring in the whole run, those that its journal knows included;
            None for all.
        max_hops: letters with so many are left.
        each: whether every message counts for itself, copies of one event too.
        expected: MessageIds that should be met: those that are not are missing.
    """

    read: Callable[[Message], Awaitable[Letter]]
    meant: Callable[[Letter], bool]
    alter: Callable[[Letter], Letter | Stays]
    limit: int | None = None
    max_hops: int = MAX_HOPS
    each: bool = False
    expected: frozenset[str] = frozenset()

    def choose(self, letter: Letter, began_at: float) -> Stays | None:
        """Why the letter is not to be touched, or None."""
        if not self.meant(letter):
            return Stays(FILTERED, "it does not pass the filters")
        sent = letter.message.sent_at
        if sent is not None and sent > began_at:
            return Stays(ARRIVED, "it came after the run began")
        if without_id(letter):
            return UNREAD
        if letter.hops >= self.max_hops:
            return Stays(
                "max_hops",
                f"it has died {letter.hops} times: see why, and raise --max-hops to try again",
            )
        return None


def without_id(letter: Letter) -> bool:
    """Whether the ids of its events hang on what was not read, so that they would change."""
    return letter.sealed and not letter.noted


@dataclass(slots=True)
class Course:
    """A run's way: `stop` is asked for from outside, `enough` is known inside."""

    stop: asyncio.Event
    enough: bool = False

    def ended(self) -> bool:
        """Whether nothing more should be received."""
        return self.enough or self.stop.is_set()
