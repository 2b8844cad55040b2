"""Periodic tasks: what `cron.yaml` lists, and the messages that they become."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from relay.local.clock import Clock
from relay.local.sqsd.queue import QueueTrouble
from relay.local.sqsd.request import PATH, SCHEDULED_TIME, TASK_BODY, TASK_NAME, scheduled_text
from relay.local.sqsd.schedule import Schedule
from relay.local.sqsd.tasks import Tasks

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class CronTask:
    """A periodic task: `url` is the local path that it is posted to."""

    name: str
    url: str
    schedule: Schedule


class Crontab:
    """Sends each task's message to the queue when it is due, as the leader of the instances does.

    Args:
        tasks: with different names.
        send: sends a body with String attributes; the message's id.
        clock: whose minutes count. Firings that a leap of it passes over are lost.
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
        """Fire every task by its schedule, in this group of tasks."""
        for task in self._tasks.values():
            group.start(self._keep_firing(task))

    async def fire(self, name: str, scheduled_at: float | None = None) -> str:
        """Send this task's message now, as for `scheduled_at` (seconds since the epoch) or now.

        Raises:
            KeyError: there is no such task.
            QueueTrouble: SQS did not take it.
        """
        task = self._tasks[name]
        due = self._clock.time() if scheduled_at is None else scheduled_at
        return await self._send(
            TASK_BODY, {PATH: task.url, TASK_NAME: name, SCHEDULED_TIME: scheduled_text(due)}
        )

    async def _keep_firing(self, task: CronTask) -> None:
        due = self._clock.time()
        while True:
            # A wake-up a hair too early must not fire the same minute twice.
            due = task.schedule.after(max(due, self._clock.time()))
            await self._clock.sleep(due - self._clock.time())
            try:
                await self.fire(task.name, due)
            except QueueTrouble as trouble:
                _log.warning("the periodic task %s is lost this once: %s", task.name, trouble)


def cron_tasks(document: Mapping[str, Any]) -> tuple[CronTask, ...]:
    """The tasks of a parsed `cron.yaml`: `{"version": 1, "cron": [{name, url, schedule}, …]}`.

    Raises:
        ValueError: a sentence that names what is wrong.
    """
    if document.get("version") != 1:
        raise ValueError("cron.yaml must say `version: 1`.")
    tasks = tuple(_task(entry) for entry in document.get("cron") or ())
    names = [task.name for task in tasks]
    if len(set(names)) != len(names):
        raise ValueError("Two tasks of cron.yaml have the same name.")
    return tasks


def _task(entry: Mapping[str, Any]) -> CronTask:
    missing = [key for key in ("name", "url", "schedule") if not entry.get(key)]
    if missing:
        raise ValueError(f"A task of cron.yaml lacks its {', '.join(missing)}.")
    if not entry["url"].startswith("/"):
        raise ValueError(f"The url of task {entry['name']} must start with a slash.")
    return CronTask(entry["name"], entry["url"], Schedule.parse(entry["schedule"]))
