"""Periodic tasks that SQS itself dead-lettered: they look as the daemon put them into the queue."""

from __future__ import annotations

import time
from datetime import UTC, datetime

from relay.message import Message, PeriodicTask

_TASK_NAME = "beanstalk.sqsd.task_name"
_SCHEDULED_TIME = "beanstalk.sqsd.scheduled_time"


def firing(message: Message) -> PeriodicTask | None:
    """The firing that this message is, told as the daemon's headers tell it, so with the same id.

    None for every other message.
    """
    name, scheduled = (_text(message, key) for key in (_TASK_NAME, _SCHEDULED_TIME))
    if not name or not scheduled:
        return None
    return PeriodicTask(name, _iso(scheduled))


def _text(message: Message, name: str) -> str:
    found = message.attributes.get(name)
    return found.value if found is not None and isinstance(found.value, str) else ""


def _iso(scheduled: str) -> str:
    try:
        moment = datetime.fromisoformat(scheduled.removesuffix(" UTC"))
    except ValueError:
        return scheduled
    seconds = moment.replace(tzinfo=moment.tzinfo or UTC).timestamp()
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))
