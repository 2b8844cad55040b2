"""The tally of a run: what became of each letter that it met."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from relay.dlq.stays import AS_WISHED, Stays


@dataclass(slots=True)
class Tally:
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

    def stay(self, stays: Stays) -> None:
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
