"""Times as people type them: a moment, or how long ago."""

from __future__ import annotations

import re
from datetime import UTC, datetime

_AGO = re.compile(r"(\d+(?:\.\d+)?)([smhdw])")
_SECONDS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400, "w": 604_800}
_STEPS = ((86_400, "d"), (3_600, "h"), (60, "min"))


def moment(text: str, now: float) -> float:
    """Epoch seconds of `2026-05-04T10:00` (UTC unless it names a zone) or of `36h`, which is ago.

    Longer ago than 1970 is 1970: calendars end before what people can type does.

    Raises:
        ValueError: it is neither.
    """
    ago = _AGO.fullmatch(text.strip())
    if ago:
        return max(0.0, now - float(ago[1]) * _SECONDS[ago[2]])
    try:
        found = datetime.fromisoformat(text.strip())
    except ValueError as error:
        raise ValueError(
            f"{text!r} is neither a time like 2026-05-04T10:00 nor like 36h"
        ) from error
    return found.replace(tzinfo=found.tzinfo or UTC).timestamp()


def shown(at: float | None) -> str:
    """A moment for people, in UTC."""
    if at is None:
        return "-"
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M:%SZ")


def span(seconds: float) -> str:
    """A duration for people: `3.2 d`, `41 min`, `12 s`."""
    for size, unit in _STEPS:
        if abs(seconds) >= size:
            return f"{seconds / size:.1f} {unit}".replace(".0 ", " ")
    return f"{seconds:.0f} s"


def hour(at: float | None) -> str:
    """The hour that a moment is in."""
    return "-" if at is None else datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %Hh")
