"""What a run works on and what it did: the selection, skipped dead letters, run control, counts."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from typing import Any

from relay.dlq.dead_letter import DeadLetter
from relay.model.message import Message

MAX_HOPS = 5
"""Dead-letterings after which another redrive is not expected to help."""

FILTERED = "filtered"
NOT_IN_SNAPSHOT = "not_in_snapshot"
NOT_A_CANARY = "not_a_canary"
ARRIVED = "arrived"
LIMIT = "limit"
UNSELECTED = frozenset({FILTERED, NOT_IN_SNAPSHOT, NOT_A_CANARY})
"""Codes of what the run was not to look at."""

INTENDED = UNSELECTED | {ARRIVED, LIMIT}
"""Codes of what was not to be touched; anything else that is skipped is work that is left."""


@dataclass(frozen=True, slots=True)
class Skipped:
    """It stays in the dead-letter queue. `code` is stable, `reason` is a sentence for people."""

    code: str
    reason: str


BLOCKED = Skipped("blocked", "an earlier message of its FIFO group was skipped")
BODY_TRUNCATED = Skipped(
    "body_truncated",
    "only the beginning of its body was kept, see `relay dlq show`: publish the event again from"
    " where it came from, then remove the dead letter with `relay dlq drop`",
)
PAYLOAD_NOT_READ = Skipped(
    "payload_not_read",
    "its ids derive from an S3 object that was not read: add its bucket to RELAY_PAYLOAD_BUCKETS",
)


async def none_fails(_dead_letter: DeadLetter) -> Skipped | None:
    """Send what would fail again too."""
    return None


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """Which dead letters an operator asked for.

    Attributes:
        read: reads a message; raises `AwsError` if its payload cannot be fetched now.
        includes: whether a dead letter is selected.
        matching: MessageIds of what the filters match, where an index knows it, so that a plan has
            to read nothing else; None where it is not known.
        modify: edits it, or says why that is not possible.
        failing: whether it would only be dead-lettered again, so that it must not be sent.
        limit: the most dead letters to process in the whole run, including those in its journal;
            None for all.
        max_hops: dead letters with this many hops are skipped.
        every_message: whether each message counts by itself, duplicates included.
        expected: MessageIds that should be received; those that are not are counted as missing.
        snapshot: MessageIds outside which nothing is touched; None for no such limit.
        canary: the same for a run that sends only a canary.
    """

    read: Callable[[Message], Awaitable[DeadLetter]]
    includes: Callable[[DeadLetter], bool]
    modify: Callable[[DeadLetter], DeadLetter | Skipped]
    failing: Callable[[DeadLetter], Awaitable[Skipped | None]] = none_fails
    matching: frozenset[str] | None = None
    limit: int | None = None
    max_hops: int = MAX_HOPS
    every_message: bool = False
    expected: frozenset[str] = frozenset()
    snapshot: frozenset[str] | None = None
    canary: frozenset[str] | None = None

    def skip_reason(self, dead_letter: DeadLetter, began_at: float) -> Skipped | None:
        """Why the dead letter must not be touched by a run begun at `began_at`, or None."""
        unselected = self._unselected(dead_letter)
        if unselected is not None:
            return unselected
        sent = dead_letter.message.sent_at
        if sent is not None and sent > began_at:
            return Skipped(ARRIVED, "it arrived after the run began")
        if ids_unknown(dead_letter):
            return PAYLOAD_NOT_READ
        if dead_letter.hops >= self.max_hops:
            return Skipped(
                "max_hops",
                f"it was dead-lettered {dead_letter.hops} times: find out why, and raise --max-hops"
                " to try again",
            )
        return None

    def _unselected(self, dead_letter: DeadLetter) -> Skipped | None:
        message_id = dead_letter.message.message_id
        if self.snapshot is not None and message_id not in self.snapshot:
            return Skipped(NOT_IN_SNAPSHOT, "it is not in the snapshot")
        if not self.includes(dead_letter):
            return Skipped(FILTERED, "it does not match the filters")
        if self.canary is not None and message_id not in self.canary:
            return Skipped(NOT_A_CANARY, "it is not sent before the canary is delivered")
        return None


def ids_unknown(dead_letter: DeadLetter) -> bool:
    """Whether the ids of its events derive from a payload that was not read and would change."""
    return dead_letter.payload_unread and not dead_letter.has_origin


@dataclass(slots=True)
class RunControl:
    """Says when a run must end: `stop` is set from outside, `finished` by the run itself."""

    stop: asyncio.Event
    finished: bool = False

    def should_stop(self) -> bool:
        """Whether nothing more should be received."""
        return self.finished or self.stop.is_set()


@dataclass(slots=True)
class Counts:
    """Counts of the dead letters of a run.

    Attributes:
        received: received for the first time.
        done: at their target: sent, delivered or, when dropping, backed up. Those of an earlier
            part of the run with the same journal are not included.
        duplicates: of dead letters that are done, so that they need not be sent themselves.
        deleted: deleted from the dead-letter queue.
        not_deleted: done and not deleted yet: the run must be resumed.
        skipped: those that stay in the queue, by code; `reasons` has a sentence for each code.
        stopped: why the run stopped itself, or None.
        failed: the error that ended it early, as a sentence, or None.
        interrupted: whether it was stopped from outside.
        missing: expected, and not in the queue.
        not_received: in the queue as well, and not handed out by SQS; `why` says why.
    """

    received: int = 0
    done: int = 0
    duplicates: int = 0
    deleted: int = 0
    not_deleted: int = 0
    skipped: Counter[str] = field(default_factory=Counter)
    reasons: dict[str, str] = field(default_factory=dict)
    stopped: str | None = None
    failed: str | None = None
    interrupted: bool = False
    missing: int = 0
    not_received: int = 0
    why: str = ""

    def after(self, canary: Counts) -> Counts:
        """These counts with those of the canary before, for one report of the whole run."""
        return replace(
            self,
            # Those of the canary that were not deleted are received again.
            received=self.received + canary.deleted,
            done=self.done + canary.done,
            duplicates=self.duplicates + canary.duplicates,
            deleted=self.deleted + canary.deleted,
        )

    @property
    def processed(self) -> int:
        """Dead letters that are done with: sent, or copies of one that is."""
        return self.done + self.duplicates

    def skip(self, skipped: Skipped) -> None:
        """Count one more that is skipped."""
        self.skipped[skipped.code] += 1
        self.reasons.setdefault(skipped.code, skipped.reason)

    @property
    def complete(self) -> bool:
        """Whether everything that was selected is done."""
        unfinished = self.not_deleted or self.missing or self.not_received
        ended_early = self.stopped or self.failed or self.interrupted
        return not (set(self.skipped) - INTENDED or unfinished or ended_early)

    def as_json(self) -> dict[str, Any]:
        """The counts as JSON values."""
        return {
            "received": self.received,
            "done": self.done,
            "duplicates": self.duplicates,
            "deleted": self.deleted,
            "not_deleted": self.not_deleted,
            "skipped": dict(self.skipped),
            "reasons": {c: r for c, r in self.reasons.items() if c not in INTENDED},
            "stopped": self.stopped,
            "failed": self.failed,
            "interrupted": self.interrupted,
            "missing": self.missing,
            "not_received": self.not_received,
        }
