"""The daemon's tasks: each referenced until it ends, and none fails unnoticed."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from dataclasses import dataclass
from typing import Any


@dataclass(slots=True)
class Counters:
    """What the daemon has done so far.

    Attributes:
        received: messages that receives brought.
        posted: requests written to the application, those made again included.
        reposted: requests that were made again because their connection closed.
        deleted: messages that SQS says are deleted, expired ones included.
        returned: messages given back with the ErrorVisibilityTimeout.
        locked: messages left to their visibility timeout after a silent answer.
        expired: messages that were past the RetentionPeriod, and never posted.
    """

    received: int = 0
    posted: int = 0
    reposted: int = 0
    deleted: int = 0
    returned: int = 0
    locked: int = 0
    expired: int = 0


class Failure:
    """The first exception that ended a task: a defect of the daemon, not of what it talks to."""

    def __init__(self) -> None:
        self._error: BaseException | None = None
        self._happened = asyncio.Event()

    def state(self, error: BaseException) -> None:
        """It happened; only the first counts."""
        self._error = self._error or error
        self._happened.set()

    async def wait(self) -> None:
        """Return when it has happened."""
        await self._happened.wait()

    def check(self) -> None:
        """Raise it, if it has happened."""
        if self._error is not None:
            raise self._error


class Tasks:
    """Tasks that are cancelled and waited for together."""

    def __init__(self, failure: Failure) -> None:
        self._failure = failure
        self._running: set[asyncio.Task[None]] = set()

    def __len__(self) -> int:
        """How many run."""
        return len(self._running)

    def start(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Run the work beside the others."""
        task = asyncio.get_running_loop().create_task(work)
        self._running.add(task)
        task.add_done_callback(self._ended)
        return task

    def cancel(self) -> None:
        """Cancel all."""
        for task in self._running:
            task.cancel()

    async def ended(self) -> None:
        """Return when none runs any more, those included that start meanwhile."""
        while self._running:
            await asyncio.wait(self._running)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._running.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self._failure.state(error)
