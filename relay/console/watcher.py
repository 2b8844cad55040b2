"""Watches the queues and the relays while the console runs, and tells the open pages."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator

from relay.ops.status import StatusReport
from relay.ops.status_history import StatusHistory

WATCHED = 2.0
"""Seconds between two reports while somebody looks."""

FIRST = 5.0
"""Seconds that a page waits for the first report. Without a network it may take a minute."""

UNWATCHED = 15.0
"""Seconds between two reports while nobody does: each one costs two requests to SQS."""


class Watcher:
    """Collects a report again and again.

    Args:
        collect: makes a report.
        watched: seconds between two reports while a page is open.
        unwatched: seconds between two reports otherwise.
    """

    def __init__(
        self,
        collect: Callable[[], Awaitable[StatusReport]],
        *,
        watched: float = WATCHED,
        unwatched: float = UNWATCHED,
    ) -> None:
        self.history = StatusHistory()
        self._collect = collect
        self._watched = watched
        self._unwatched = unwatched
        self._viewers = 0
        self._closed = False
        self._changed = asyncio.Condition()
        self._arrived = asyncio.Event()

    @property
    def viewers(self) -> int:
        """How many pages are open."""
        return self._viewers

    async def run(self) -> None:
        """Collect until cancelled."""
        while True:
            self.history.add(await self._collect())
            async with self._changed:
                self._changed.notify_all()
            await self._pause()

    async def close(self) -> None:
        """End every `reports`."""
        async with self._changed:
            self._closed = True
            self._changed.notify_all()

    async def first(self, timeout: float = FIRST) -> StatusReport | None:
        """The last report; None if there is none within `timeout` seconds."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout), self._changed:
                await self._changed.wait_for(lambda: self._closed or self.history.last is not None)
        return self.history.last

    async def reports(self) -> AsyncIterator[StatusReport]:
        """Each new report; reports are more frequent meanwhile."""
        seen = self.history.last
        with self._viewing():
            while (seen := await self._next(seen)) is not None:
                yield seen

    async def _next(self, seen: StatusReport | None) -> StatusReport | None:
        """The next report after this one; None once the watcher is closed."""
        async with self._changed:
            await self._changed.wait_for(lambda: self._closed or self.history.last is not seen)
        return None if self._closed else self.history.last

    @contextlib.contextmanager
    def _viewing(self) -> Iterator[None]:
        self._viewers += 1
        self._arrived.set()
        try:
            yield
        finally:
            self._viewers -= 1

    async def _pause(self) -> None:
        """Wait until the next report is due; a new viewer shortens it."""
        self._arrived.clear()
        if self._viewers:
            await asyncio.sleep(self._watched)
            return
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._unwatched):
                await self._arrived.wait()
