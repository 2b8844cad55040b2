"""Watches the queue for `relay pause`, for as long as a relay runs."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack

from relay.aws.session import SharedSession
from relay.aws.sqs import Queue, open_queue
from relay.delivery.pause import NeverPaused, PauseMonitor, Pausing
from relay.model.facts import Observe
from relay.settings.model import Settings

_log = logging.getLogger(__name__)


@contextlib.asynccontextmanager
async def watching(
    read: Callable[[], Awaitable[Mapping[str, str]]], observe: Observe
) -> AsyncIterator[PauseMonitor]:
    """A monitor that reads the queue's tags for as long as the block runs."""
    monitor = PauseMonitor(read, observe=observe)
    task = asyncio.create_task(monitor.run(), name="pause")
    try:
        yield monitor
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def watch_queue(settings: Settings, stack: AsyncExitStack, observe: Observe) -> Pausing:
    """Watch the queue that the settings name, until the stack is closed.

    In push mode only sqsd has to know the queue. Without its name, a relay cannot be paused.
    """
    if settings.queue_url is None:
        _log.info("`relay pause` has no effect on this relay, because RELAY_QUEUE_URL is not set")
        return NeverPaused()
    # Closed after the monitor has ended.
    resources = await stack.enter_async_context(AsyncExitStack())
    tags = QueueTags(settings.queue_url, resources)
    return await stack.enter_async_context(watching(tags.read, observe))


class QueueTags:
    """Reads the tags of a queue, which is opened at the first read and closed with the resources.

    Args:
        reference: the queue's URL, ARN or name.
        resources: closes the queue and its session.
    """

    def __init__(self, reference: str, resources: AsyncExitStack) -> None:
        self._reference = reference
        self._resources = resources
        self._session = SharedSession(resources)
        self._queue: Queue | None = None

    async def read(self) -> Mapping[str, str]:
        """The tags.

        Raises:
            AwsError: the queue cannot be opened, or its tags cannot be read.
        """
        if self._queue is None:
            async with AsyncExitStack() as trying:
                opening = open_queue(await self._session(), self._reference)
                self._queue = await trying.enter_async_context(opening)
                self._resources.push_async_exit(trying.pop_all())
        return await self._queue.tags()
