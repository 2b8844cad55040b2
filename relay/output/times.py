"""Times and durations as people read them, in UTC."""

from __future__ import annotations

from datetime import UTC, datetime

_STEPS = ((86_400, "d"), (3_600, "h"), (60, "min"))


def format_time(at: float | None) -> str:
    """A time for people, in UTC: `2026-05-04 10:00:00Z`, or `-` if it is not known."""
    return _written(at, "%Y-%m-%d %H:%M:%SZ")


def format_duration(seconds: float) -> str:
    """A duration for people: `3.2 d`, `41 min`, `12 s`."""
    for size, unit in _STEPS:
        if abs(seconds) >= size:
            return f"{seconds / size:.1f} {unit}".replace(".0 ", " ")
    return f"{seconds:.0f} s"


def format_relative(at: float | None, now: float) -> str:
    """A time as seen from `now`: `3.2 h ago`, `40 min ago`, `in 13.9 d`, or `-` if unknown."""
    if at is None:
        return "-"
    seconds = abs(at - now)
    if 60 <= seconds < 3_570:  # noqa: PLR2004 - what rounds to less than an hour
        seconds = round(seconds / 60) * 60
    text = format_duration(seconds)
    return f"in {text}" if at > now else f"{text} ago"


def format_hour(at: float | None) -> str:
    """The hour that a time is in."""
    return _written(at, "%Y-%m-%d %Hh")


def _written(at: float | None, form: str) -> str:
    """The time in this form. One that no calendar has is written as seconds since 1970."""
    if at is None:
        return "-"
    try:
        return datetime.fromtimestamp(at, UTC).strftime(form)
    except (ValueError, OverflowError, OSError):
        return f"{at:g} s"
