"""Following a move task of SQS to its end, or cancelling it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from relay.aws.move_tasks import COMPLETED, RUNNING, MoveTasks

POLL = 1.0

LOSSES = (
    "It cannot filter, edit or stop at a guard, and keeps no backup and no journal.",
    "Each message gets a new MessageId: an id that hangs on it and is not noted is lost.",
    "Each message gets a new age, and on FIFO queues a new deduplication id.",
)
"""What SQS's own move gives up (Amazon SQS API reference, StartMessageMoveTask; and measured)."""


@dataclass(frozen=True, slots=True)
class Moved:
    """How a task ended. `problem` is a sentence, None where everything was moved."""

    moved: int
    problem: str | None = None
    cancelled: bool = False


async def follow(
    tasks: MoveTasks,
    handle: str,
    *,
    stop: asyncio.Event,
    progress: Callable[[int], None],
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
) -> Moved:
    """Wait for the newest task's end; a stop cancels it, and what was moved stays moved.

    Raises:
        QueueError: SQS does not say how it goes; the task goes on without us.
    """
    while True:
        task = await tasks.latest()
        if task is None:
            return Moved(0, "SQS knows of no task any more")
        progress(task.moved)
        if task.status not in (RUNNING, "CANCELLING"):
            break
        if stop.is_set() and task.status == RUNNING:
            return Moved(await tasks.cancel(handle), "cancelled as asked", cancelled=True)
        await sleep(POLL)
    if task.status == COMPLETED:
        return Moved(task.moved)
    return Moved(task.moved, f"the task ended as {task.status}: {task.failure or 'no reason told'}")
