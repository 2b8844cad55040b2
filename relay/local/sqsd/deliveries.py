"""One message from its receipt to its end: posted, and then deleted, given back or left alone."""

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

_logger = logging.getLogger(__name__)


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
        except QueueError as trouble:
            _logger.warning("up to %d messages come again: %s", len(batch), trouble)
        else:
            self._counters.deleted += deleted


OK = 200

_log = logging.getLogger(__name__)


class Delivery:
    """The rules by which a message is posted and what its answer means for it."""

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
        """Take the message to its end."""
        if self._clock.time() > message.first_received_at + self._options.retention_period:
            self._counters.expired += 1
            self._deletes.add(message.receipt)
            return
        try:
            status = await self._post(self._form.render(message))
        except Silent:
            await self._give_up(message)
        except (NoAnswer, OSError):
            await self._give_back(message)
        else:
            await self._settle(message, status)

    async def _post(self, request: bytes) -> int:
        """The answer's status; a connection that closes under the request does not end it."""
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
            await self._give_back(message)

    async def _give_up(self, message: Received) -> None:
        if self._options.on_inactivity == "leave-locked":
            self._counters.locked += 1
        else:
            await self._give_back(message)

    async def _give_back(self, message: Received) -> None:
        try:
            await self._queue.release(message.receipt, self._options.error_visibility_timeout)
        except QueueError as trouble:
            _log.warning("message %s stays locked: %s", message.message_id, trouble)
        else:
            self._counters.returned += 1


class Backlog:
    """Delivers messages in the order in which they came, at most `connections` at once.

    How many may wait is not its affair: nothing is received without room for it.

    Args:
        deliver: takes one message to its end.
        connections: how many may be delivered at once.
        tasks: where the deliveries run.
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
        """How many are in hand."""
        return self._busy + len(self._waiting)

    def accept(self, message: Received) -> None:
        """Deliver it, at once or when its turn comes."""
        if self._busy < self._connections:
            self._busy += 1
            self._tasks.start(self._serve(message))
        else:
            self._waiting.append(message)

    def forget(self) -> None:
        """Drop those that wait: they come again when their visibility lapses."""
        self._waiting.clear()

    async def _serve(self, message: Received) -> None:
        """Deliver this one and then, by the same slot, those that wait."""
        try:
            await self._deliver(message)
            while self._waiting:
                await self._deliver(self._waiting.popleft())
        finally:
            self._busy -= 1
