"""The daemon's background tasks and counters: tasks are kept referenced, failures are reported."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from dataclasses import dataclass
from typing import Any


@dataclass(slots=True)
class Counters:
    """What the daemon has done so far.

    Attributes:
        received: messages received.
        posted: requests written to the application, repeated ones included.
        reposted: requests repeated because the connection closed.
        deleted: messages that SQS confirmed as deleted, expired ones included.
        returned: messages returned to the queue with the ErrorVisibilityTimeout.
        locked: messages left to their visibility timeout after a response timed out.
        expired: messages past the RetentionPeriod, which are not posted.
    """

    received: int = 0
    posted: int = 0
    reposted: int = 0
    deleted: int = 0
    returned: int = 0
    locked: int = 0
    expired: int = 0


class Failure:
    """The first exception that ended a task: a bug of the daemon, not of SQS or the application."""

    def __init__(self) -> None:
        self._error: BaseException | None = None
        self._happened = asyncio.Event()

    def record(self, error: BaseException) -> None:
        """Keep the exception, if it is the first."""
        self._error = self._error or error
        self._happened.set()

    async def wait(self) -> None:
        """Return when a task has failed."""
        await self._happened.wait()

    def check(self) -> None:
        """Raise the first exception, if a task has failed."""
        if self._error is not None:
            raise self._error


class Tasks:
    """A group of tasks that are cancelled and awaited together."""

    def __init__(self, failure: Failure) -> None:
        self._failure = failure
        self._running: set[asyncio.Task[None]] = set()

    def __len__(self) -> int:
        """The number of running tasks."""
        return len(self._running)

    def start(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Run the coroutine as a task of this group."""
        task = asyncio.get_running_loop().create_task(work)
        self._running.add(task)
        task.add_done_callback(self._ended)
        return task

    def cancel(self) -> None:
        """Cancel all tasks."""
        for task in self._running:
            task.cancel()

    async def ended(self) -> None:
        """Return when no task is running, including tasks that start in the meantime."""
        while self._running:
            await asyncio.wait(self._running)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._running.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self._failure.record(error)
