"""The worker daemon: receives messages and posts each one to a local application."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from types import TracebackType
from typing import Self

from relay.local.clock import Clock, SystemClock
from relay.local.sqsd.application import Target
from relay.local.sqsd.cron import Crontab, CronTask
from relay.local.sqsd.deliveries import Backlog, Deletes, Delivery
from relay.local.sqsd.options import SqsdOptions
from relay.local.sqsd.queue import Pollers, Queue, QueueError
from relay.local.sqsd.request import Received
from relay.local.sqsd.tasks import Counters, Failure, Tasks

PAUSE = 1.0
"""Seconds before the next receive after a failed one."""

_log = logging.getLogger(__name__)


class Sqsd:
    """The daemon; it runs while entered. An instance can be entered only once.

    It behaves as the 2.x daemon did, and as 3.x was observed to:

    - received messages wait for a free connection while their visibility timeout runs;
    - only a 200 deletes; deletes are batched, so a crash repeats finished messages;
    - any other status, or a refused connection, returns the message with the
      ErrorVisibilityTimeout;
    - when the connection closes during a request, it posts the same message again at once, as
      often as that happens, with the receive count unchanged;
    - it never extends the visibility timeout, and does not keep the order within a FIFO group.

    On exit it drains: it receives nothing more, finishes the messages in flight within
    `drain_timeout` and sends the pending deletes. Messages of a receive that is cancelled stay
    locked until their visibility timeout. Exit by an exception acts like `kill`.

    Args:
        queue_url: the queue to serve.
        target_url: the application, for example `http://127.0.0.1:8000`.
        options: as in Elastic Beanstalk.
        cron: periodic tasks; not allowed for a FIFO queue.
        endpoint_url: the URL of a local SQS; None for AWS.
        region: the queue's region.
        clock: measures everything except the ConnectTimeout.

    Raises:
        ValueError: periodic tasks for a FIFO queue, or a target that is not an http:// URL.
        Exception: on exit, the first exception of a daemon task, which is a bug of the daemon.
    """

    def __init__(
        self,
        queue_url: str,
        target_url: str,
        options: SqsdOptions | None = None,
        *,
        cron: Sequence[CronTask] = (),
        endpoint_url: str | None = None,
        region: str = "us-east-1",
        clock: Clock | None = None,
    ) -> None:
        self.counters = Counters()
        self.options = options = options or SqsdOptions()
        self._clock = clock = clock or SystemClock()
        self._failure = Failure()
        self._watch, self._receiving, self._posts, self._deleting = self._groups = [
            Tasks(self._failure) for _ in range(4)
        ]
        self._queue = Queue(
            queue_url, endpoint_url=endpoint_url, region=region, polls=options.pollers
        )
        if cron and self._queue.name.endswith(".fifo"):
            raise ValueError("Periodic tasks cannot be sent to a FIFO queue.")
        self._crontab = Crontab(cron, self._queue.send, clock)
        self._target = Target(
            target_url,
            connect_timeout=options.connect_timeout,
            inactivity_timeout=options.inactivity_timeout,
            clock=clock,
        )
        self._deletes = Deletes(
            self._queue.delete, self.counters, clock=clock, tasks=self._deleting
        )
        self._delivery = Delivery(
            self._queue, self._target, self._deletes, options, self.counters, clock
        )
        self._backlog = Backlog(
            self._deliver, connections=options.http_connections, tasks=self._posts
        )
        self._pollers = Pollers(
            self._receive,
            self._backlog.accept,
            most=options.pollers,
            connections=options.http_connections,
            backlog=options.waiting,
            tasks=self._receiving,
        )
        self._failing = False

    @property
    def in_flight(self) -> int:
        """The number of messages received and not yet finished."""
        return len(self._backlog)

    async def __aenter__(self) -> Self:
        """Open the queue and start receiving."""
        await self._queue.__aenter__()
        self._watch.start(self._target.watch())
        self._crontab.start(self._receiving)
        self._pollers.start()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Drain, or stop at once after an exception."""
        try:
            if error is None and self.options.drain_timeout:
                await self._drain()
        finally:
            self.kill()
            for group in self._groups:
                await group.ended()
            await self._queue.__aexit__(kind, error, trace)
        self._failure.check()

    async def run(self, stop: asyncio.Event) -> None:
        """Serve until `stop` is set, then drain."""
        async with self:
            waits = [asyncio.ensure_future(w) for w in (stop.wait(), self._failure.wait())]
            try:
                await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for wait in waits:
                    wait.cancel()
            self._failure.check()

    def kill(self) -> None:
        """Stop as with SIGKILL: connections drop, nothing more is deleted or returned."""
        self._pollers.stop()
        self._backlog.forget()
        self._deletes.forget()
        self._target.abort()
        for group in self._groups:
            group.cancel()

    async def fire(self, name: str, scheduled_at: float | None = None) -> str:
        """Send the message of a periodic task now, whatever its schedule; returns the MessageId.

        `scheduled_at` is in seconds since the epoch, by default now.

        Raises:
            KeyError: there is no such task.
            QueueError: SQS did not accept the message.
        """
        return await self._crontab.fire(name, scheduled_at)

    async def _drain(self) -> None:
        self._pollers.stop()
        self._receiving.cancel()
        await self._receiving.ended()
        finished = asyncio.ensure_future(self._posts.ended())
        deadline = asyncio.ensure_future(self._clock.sleep(self.options.drain_timeout))
        try:
            await asyncio.wait((finished, deadline), return_when=asyncio.FIRST_COMPLETED)
        finally:
            finished.cancel()
            deadline.cancel()
        self._posts.cancel()
        await self._posts.ended()
        self._deletes.flush()
        await self._deleting.ended()

    async def _receive(self, count: int) -> Sequence[Received]:
        try:
            received = await self._queue.receive(count, self.options.visibility_timeout)
        except QueueError as error:
            if not self._failing:
                _log.warning("cannot receive: %s", error)
            self._failing = True
            await self._clock.sleep(PAUSE)
            return ()
        if self._failing:
            _log.warning("receiving again")
        self._failing = False
        self.counters.received += len(received)
        return received

    async def _deliver(self, message: Received) -> None:
        await self._delivery.deliver(message)
        self._pollers.left()
