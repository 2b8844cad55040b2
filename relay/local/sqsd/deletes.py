"""Deletes that are gathered, so that a crash repeats a finished message as the real daemon's."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence

from relay.local.clock import Clock
from relay.local.sqsd.counters import Counters
from relay.local.sqsd.queue import QueueTrouble
from relay.local.sqsd.tasks import Tasks

BATCH = 10
LONGEST_WAIT = 2.0
"""Seconds, as `batch_delete_timer` of 2.x."""

_log = logging.getLogger(__name__)


class Deletes:
    """Receipts to delete: a batch goes out when it is full, or two seconds after its first.

    Args:
        delete: deletes one batch and says how many it deleted.
        counters: where that number is added.
        clock: what the two seconds are measured by.
        tasks: where the sending runs.
    """

    def __init__(
        self,
        delete: Callable[[Sequence[str]], Awaitable[int]],
        counters: Counters,
        *,
        clock: Clock,
        tasks: Tasks,
    ) -> None:
        self._delete = delete
        self._counters = counters
        self._clock = clock
        self._tasks = tasks
        self._gathered: list[str] = []
        self._timer: asyncio.Task[None] | None = None

    def add(self, receipt: str) -> None:
        """Delete this message, soon."""
        self._gathered.append(receipt)
        if len(self._gathered) >= BATCH:
            self.flush()
        elif self._timer is None:
            self._timer = self._tasks.start(self._later(self._clock.time() + LONGEST_WAIT))

    def flush(self) -> None:
        """Start to delete what is gathered now."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._gathered:
            batch, self._gathered = self._gathered, []
            self._tasks.start(self._send(batch))

    def forget(self) -> None:
        """Drop what is gathered: those messages come again."""
        self._gathered = []

    async def _later(self, due: float) -> None:
        await self._clock.sleep(due - self._clock.time())
        self._timer = None
        self.flush()

    async def _send(self, batch: list[str]) -> None:
        try:
            deleted = await self._delete(batch)
        except QueueTrouble as trouble:
            _log.warning("up to %d messages come again: %s", len(batch), trouble)
        else:
            self._counters.deleted += deleted
