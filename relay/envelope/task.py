"""Periodic tasks of a worker environment's `cron.yaml`: sqsd posts them without a body."""

from __future__ import annotations

import json

from relay.envelope import fields, moment
from relay.envelope.letter import Draft, Letter
from relay.message import PeriodicTask


def letter(task: PeriodicTask, queue: str, prefix: str) -> Letter:
    """One event, named after the task.

    Its id is that of the firing, which can come twice; the queue tells environments apart that
    have the same `cron.yaml`.

    Raises:
        Unfit: the name breaks a rule.
    """
    content = {"task": task.name, "scheduled_at": task.scheduled_at}
    drafted = Draft(
        name=fields.name(prefix + task.name),
        data=json.dumps(content, separators=(",", ":")).encode(),
    )
    return Letter(
        kind="task",
        drafts=(drafted,),
        id=f"{queue}:{task.name}@{task.scheduled_at}" if task.scheduled_at else None,
        ts=moment.of_text(task.scheduled_at),
        content=content,
    )
