"""Delivers received messages: posts each one, then deletes it, returns it or leaves it locked."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Sequence

from relay.local.clock import Clock
from relay.local.sqsd.application import Closed, NoAnswer, Silent, Target
from relay.local.sqsd.options import SqsdOptions
from relay.local.sqsd.queue import Queue, QueueError
from relay.local.sqsd.request import Received, RequestForm
from relay.local.sqsd.tasks import Counters, Tasks

BATCH = 10
LONGEST_WAIT = 2.0
"""Seconds, as `batch_delete_timer` of 2.x."""
OK = 200

_log = logging.getLogger(__name__)


class Deletes:
    """Batches deletes: a batch is sent when it is full, or two seconds after its first entry.

    Args:
        delete: deletes one batch and returns how many were deleted.
        counters: counts the deleted messages.
        clock: measures the two seconds.
        tasks: runs the requests.
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
        self._pending: list[str] = []
        self._timer: asyncio.Task[None] | None = None

    def add(self, receipt: str) -> None:
        """Delete this message with the next batch."""
        self._pending.append(receipt)
        if len(self._pending) >= BATCH:
            self.flush()
        elif self._timer is None:
            self._timer = self._tasks.start(self._later(self._clock.time() + LONGEST_WAIT))

    def flush(self) -> None:
        """Send the pending deletes now."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._pending:
            batch, self._pending = self._pending, []
            self._tasks.start(self._send(batch))

    def forget(self) -> None:
        """Discard the pending deletes; those messages will be received again."""
        self._pending = []

    async def _later(self, due: float) -> None:
        await self._clock.sleep(due - self._clock.time())
        self._timer = None
        self.flush()

    async def _send(self, batch: list[str]) -> None:
        try:
            deleted = await self._delete(batch)
        except QueueError as error:
            _log.warning("up to %d messages will be received again: %s", len(batch), error)
        else:
            self._counters.deleted += deleted


class Delivery:
    """Posts one message at a time and settles it by the response."""

    def __init__(
        self,
        queue: Queue,
        target: Target,
        deletes: Deletes,
        options: SqsdOptions,
        counters: Counters,
        clock: Clock,
    ) -> None:
        self._queue = queue
        self._target = target
        self._deletes = deletes
        self._options = options
        self._counters = counters
        self._clock = clock
        self._form = RequestForm(target.host, queue.name, options.http_path, options.mime_type)

    async def deliver(self, message: Received) -> None:
        """Post the message and settle it."""
        if self._clock.time() > message.first_received_at + self._options.retention_period:
            self._counters.expired += 1
            self._deletes.add(message.receipt)
            return
        try:
            status = await self._post(self._form.render(message))
        except Silent:
            await self._time_out(message)
        except (NoAnswer, OSError):
            await self._return(message)
        else:
            await self._settle(message, status)

    async def _post(self, request: bytes) -> int:
        """The response's status. Posts again if the connection closes during the request."""
        while True:
            connection = await self._target.connect()
            self._counters.posted += 1
            try:
                return await self._target.post(connection, request)
            except Closed:
                self._counters.reposted += 1

    async def _settle(self, message: Received, status: int) -> None:
        if status == OK:
            self._deletes.add(message.receipt)
        else:
            await self._return(message)

    async def _time_out(self, message: Received) -> None:
        if self._options.on_inactivity == "leave-locked":
            self._counters.locked += 1
        else:
            await self._return(message)

    async def _return(self, message: Received) -> None:
        try:
            await self._queue.release(message.receipt, self._options.error_visibility_timeout)
        except QueueError as error:
            _log.warning("message %s stays locked: %s", message.message_id, error)
        else:
            self._counters.returned += 1


class Backlog:
    """Delivers messages in order of arrival, at most `connections` at a time; the rest wait.

    `Pollers` limits how many can wait.

    Args:
        deliver: posts and settles one message.
        connections: the most deliveries at a time.
        tasks: runs the deliveries.
    """

    def __init__(
        self, deliver: Callable[[Received], Awaitable[None]], *, connections: int, tasks: Tasks
    ) -> None:
        self._deliver = deliver
        self._connections = connections
        self._tasks = tasks
        self._busy = 0
        self._waiting: deque[Received] = deque()

    def __len__(self) -> int:
        """The number of messages being delivered or waiting."""
        return self._busy + len(self._waiting)

    def accept(self, message: Received) -> None:
        """Deliver the message, now or when a connection is free."""
        if self._busy < self._connections:
            self._busy += 1
            self._tasks.start(self._serve(message))
        else:
            self._waiting.append(message)

    def forget(self) -> None:
        """Discard the waiting messages; they come back when their visibility timeout ends."""
        self._waiting.clear()

    async def _serve(self, message: Received) -> None:
        """Deliver this message, then use the same slot for the waiting ones."""
        try:
            await self._deliver(message)
            while self._waiting:
                await self._deliver(self._waiting.popleft())
        finally:
            self._busy -= 1
