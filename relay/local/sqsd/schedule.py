"""When a periodic task is due: five cron fields in UTC."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta

MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
DAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
FIELDS = (
    ("minute", 0, 59, ()),
    ("hour", 0, 23, ()),
    ("day of month", 1, 31, ()),
    ("month", 1, 12, MONTHS),
    ("day of week", 0, 7, DAYS),
)
LONGEST_GAP_DAYS = 8 * 366
"""29 February can be eight years away, around a century that has none."""


@dataclass(frozen=True, slots=True)
class Schedule:
    """Five cron fields in UTC: lists, ranges, steps and English names of months and days.

    As in every cron, a day matches by either of its two fields when both are restricted.
    """

    minutes: frozenset[int]
    hours: frozenset[int]
    days: frozenset[int]
    months: frozenset[int]
    weekdays: frozenset[int]
    either_day: bool

    @classmethod
    def parse(cls, text: str) -> Schedule:
        """Read an expression such as `*/15 8-18 * * mon-fri`.

        Raises:
            ValueError: a sentence that names the field at fault.
        """
        parts = text.split()
        if len(parts) != len(FIELDS):
            raise ValueError(f"A schedule has five fields, {text!r} has {len(parts)}.")
        sets = [_field(part, *field) for part, field in zip(parts, FIELDS, strict=True)]
        weekdays = frozenset(day % 7 for day in sets[4])
        restricted = not (parts[2].startswith("*") or parts[4].startswith("*"))
        return cls(sets[0], sets[1], sets[2], sets[3], weekdays, restricted)

    def after(self, moment: float) -> float:
        """The first due time later than `moment`, both in seconds since the epoch.

        Raises:
            ValueError: there is none, as for 31 February.
        """
        start = datetime.fromtimestamp(moment, UTC).replace(second=0, microsecond=0)
        start += timedelta(minutes=1)
        for offset in range(LONGEST_GAP_DAYS):
            day = start.date() + timedelta(days=offset)
            for due in self._on(day):
                if due >= start:
                    return due.timestamp()
        raise ValueError("The schedule is never due.")

    def _on(self, day: date) -> Iterator[datetime]:
        if not self._matches(day):
            return
        for hour in sorted(self.hours):
            for minute in sorted(self.minutes):
                yield datetime.combine(day, time(hour, minute), UTC)

    def _matches(self, day: date) -> bool:
        if day.month not in self.months:
            return False
        by_month = day.day in self.days
        by_week = day.isoweekday() % 7 in self.weekdays
        return by_month or by_week if self.either_day else by_month and by_week


def _field(text: str, name: str, low: int, high: int, names: tuple[str, ...]) -> frozenset[int]:
    try:
        found = {value for part in text.split(",") for value in _range(part, low, high, names)}
    except ValueError as error:
        raise ValueError(f"The {name} field {text!r} cannot be read.") from error
    if not found or min(found) < low or max(found) > high:
        raise ValueError(f"The {name} field {text!r} leaves {low} to {high}.")
    return frozenset(found)


def _range(text: str, low: int, high: int, names: tuple[str, ...]) -> range:
    span, _, step = text.partition("/")
    if span == "*":
        first, last = low, high
    else:
        begin, dash, end = span.partition("-")
        first = _number(begin, low, names)
        last = _number(end, low, names) if dash else (high if step else first)
    return range(first, last + 1, int(step) if step else 1)


def _number(text: str, low: int, names: tuple[str, ...]) -> int:
    folded = text.lower()
    return names.index(folded) + low if folded in names else int(text)
