"""Periodic tasks: the schedules of cron.yaml, and the messages that they send when due."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

from relay.local.clock import Clock
from relay.local.sqsd.queue import QueueError
from relay.local.sqsd.request import PATH, SCHEDULED_TIME, TASK_BODY, TASK_NAME, scheduled_text
from relay.local.sqsd.tasks import Tasks

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
"""29 February can be eight years away, around a century year without one."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Schedule:
    """Five cron fields in UTC: lists, ranges, steps and English names of months and days.

    As in every cron, if both day fields are restricted, a day that matches either is due.
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
            ValueError: the message names the invalid field.
        """
        parts = text.split()
        if len(parts) != len(FIELDS):
            raise ValueError(f"A schedule must have five fields; {text!r} has {len(parts)}.")
        sets = [_field(part, *field) for part, field in zip(parts, FIELDS, strict=True)]
        weekdays = frozenset(day % 7 for day in sets[4])
        restricted = not (parts[2].startswith("*") or parts[4].startswith("*"))
        return cls(sets[0], sets[1], sets[2], sets[3], weekdays, restricted)

    def after(self, seconds: float) -> float:
        """The first due time later than this one, both in seconds since the epoch.

        Raises:
            ValueError: there is none, as with 31 February.
        """
        start = datetime.fromtimestamp(seconds, UTC).replace(second=0, microsecond=0)
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
        raise ValueError(f"The {name} field {text!r} is not valid.") from error
    if not found or min(found) < low or max(found) > high:
        raise ValueError(f"The {name} field {text!r} must be within {low} to {high}.")
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


@dataclass(frozen=True, slots=True)
class CronTask:
    """A periodic task. `url` is the path that it is posted to."""

    name: str
    url: str
    schedule: Schedule


class Crontab:
    """Sends each task's message to the queue when it is due, as the leader instance does.

    Args:
        tasks: the tasks; their names must differ.
        send: sends a body with String attributes and returns the MessageId.
        clock: decides what is due. Firings that a jump of the clock skips are lost.
    """

    def __init__(
        self,
        tasks: Sequence[CronTask],
        send: Callable[[str, Mapping[str, str]], Awaitable[str]],
        clock: Clock,
    ) -> None:
        self._tasks = {task.name: task for task in tasks}
        self._send = send
        self._clock = clock

    def start(self, group: Tasks) -> None:
        """Start firing every task on schedule, in this task group."""
        for task in self._tasks.values():
            group.start(self._keep_firing(task))

    async def fire(self, name: str, scheduled_at: float | None = None) -> str:
        """Send this task's message now; returns the MessageId.

        Its scheduled time is `scheduled_at` (seconds since the epoch), by default now.

        Raises:
            KeyError: there is no such task.
            QueueError: SQS did not accept the message.
        """
        task = self._tasks[name]
        due = self._clock.time() if scheduled_at is None else scheduled_at
        return await self._send(
            TASK_BODY, {PATH: task.url, TASK_NAME: name, SCHEDULED_TIME: scheduled_text(due)}
        )

    async def _keep_firing(self, task: CronTask) -> None:
        due = self._clock.time()
        while True:
            # Waking up slightly too early must not fire the same minute twice.
            due = task.schedule.after(max(due, self._clock.time()))
            await self._clock.sleep(due - self._clock.time())
            try:
                await self.fire(task.name, due)
            except QueueError as error:
                _log.warning("a run of the periodic task %s was lost: %s", task.name, error)


def cron_tasks(document: Mapping[str, Any]) -> tuple[CronTask, ...]:
    """The tasks of a parsed `cron.yaml`: `{"version": 1, "cron": [{name, url, schedule}, …]}`.

    Raises:
        ValueError: the message names the mistake.
    """
    if document.get("version") != 1:
        raise ValueError("cron.yaml must contain `version: 1`.")
    tasks = tuple(_task(entry) for entry in document.get("cron") or ())
    names = [task.name for task in tasks]
    if len(set(names)) != len(names):
        raise ValueError("Two tasks in cron.yaml have the same name.")
    return tasks


def _task(entry: Mapping[str, Any]) -> CronTask:
    missing = [key for key in ("name", "url", "schedule") if not entry.get(key)]
    if missing:
        raise ValueError(f"A task in cron.yaml has no {', '.join(missing)}.")
    if not entry["url"].startswith("/"):
        raise ValueError(f"The url of task {entry['name']} must start with a slash.")
    return CronTask(entry["name"], entry["url"], Schedule.parse(entry["schedule"]))
