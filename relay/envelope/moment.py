"""Times, as milliseconds since the epoch, within the years that an event may have."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

EARLIEST = 315_532_800_000
"""1980-01-01. Inngest refuses what is earlier, seconds among it (measured)."""

LATEST = 4_102_444_800_000
"""2100-01-01. Inngest refuses what is later (measured)."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)


def of_text(text: Any) -> int | None:
    """The moment of an ISO 8601 text, UTC unless it names a zone; None where it is no such text."""
    try:
        moment = datetime.fromisoformat(text.upper())
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=UTC)
        return _possible((moment - _EPOCH) // _MILLISECOND)
    except (AttributeError, OverflowError, ValueError):
        return None


def of_seconds(seconds: float | None) -> int | None:
    """The moment of a count of seconds since the epoch; None for None and impossible ones."""
    if seconds is None or not EARLIEST <= seconds * 1_000 < LATEST:
        return None
    return int(seconds * 1_000 + 0.5)  # `round` goes through the digits: ten times the work


def _possible(milliseconds: int) -> int | None:
    return milliseconds if EARLIEST <= milliseconds < LATEST else None
