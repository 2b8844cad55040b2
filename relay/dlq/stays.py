"""Why a letter stays where it is."""

from __future__ import annotations

from dataclasses import dataclass

FILTERED = "filtered"
ARRIVED = "arrived"
LIMIT = "limit"
AS_WISHED = frozenset({FILTERED, ARRIVED, LIMIT})
"""What stays for these was not to be touched; anything else is work that is left."""


@dataclass(frozen=True, slots=True)
class Stays:
    """It stays in the dead-letter queue. `code` is stable, `reason` a sentence for a person."""

    code: str
    reason: str


BLOCKED = Stays("blocked", "one before it in its group stays, and none may overtake it")
