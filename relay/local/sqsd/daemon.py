"""Elastic Beanstalk's worker daemon: messages of a queue as POSTs to a local application."""

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
"""Seconds until the next receive after one that failed."""

_log = logging.getLogger(__name__)


class Sqsd:
    """The daemon, running for as long as it is entered. One object runs once.

    A clone of what the 2.x daemon did and of what a probe of 3.x saw:

    - messages wait in it for a free connection, their visibility already running;
    - only 200 deletes, and deletes are gathered, so that a crash repeats finished messages;
    - any other answer, and an application that refuses the connection, costs the
      ErrorVisibilityTimeout;
    - a connection that closes under a request makes it post the same message again at once, as
      often as that happens, with the receive count unchanged;
    - nobody extends a visibility, and no order within a FIFO group is kept.

    Leaving it drains: nothing more is received, what is in hand is finished within
    `drain_timeout`, the gathered deletes go out. What a receive under way may bring is left locked.
    Left by an exception, it goes as if killed.

    Args:
        queue_url: the queue to serve.
        target_url: the application, `http://127.0.0.1:8000` for instance.
        options: as Elastic Beanstalk has them.
        cron: periodic tasks, not for a FIFO queue.
        endpoint_url: where a local SQS listens; None is AWS's own.
        region: the queue's region.
        clock: measures everything but the ConnectTimeout.

    Raises:
        ValueError: periodic tasks for a FIFO queue, or a target that is no http:// URL.
        Exception: on leaving, whatever ended a task of the daemon: a defect of it.
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
        self._watch, self._intake, self._posts, self._deleting = self._groups = [
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
            self._carry, connections=options.http_connections, tasks=self._posts
        )
        self._pollers = Pollers(
            self._receive,
            self._backlog.accept,
            most=options.pollers,
            connections=options.http_connections,
            backlog=options.waiting,
            tasks=self._intake,
        )
        self._troubled = False

    @property
    def in_flight(self) -> int:
        """Messages that were received and have not come to their end."""
        return len(self._backlog)

    async def __aenter__(self) -> Self:
        """Begin."""
        await self._queue.__aenter__()
        self._watch.start(self._target.watch())
        self._crontab.start(self._intake)
        self._pollers.start()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Drain, or go at once when an exception or `kill` ends it."""
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
        """End as by SIGKILL: connections drop, nothing is deleted or given back any more."""
        self._pollers.stop()
        self._backlog.forget()
        self._deletes.forget()
        self._target.abort()
        for group in self._groups:
            group.cancel()

    async def fire(self, name: str, scheduled_at: float | None = None) -> str:
        """Send the message of a periodic task now, whatever its schedule; the message's id.

        `scheduled_at` is in seconds since the epoch, now by default.

        Raises:
            KeyError: there is no such task.
            QueueError: SQS did not take it.
        """
        return await self._crontab.fire(name, scheduled_at)

    async def _drain(self) -> None:
        self._pollers.stop()
        self._intake.cancel()
        await self._intake.ended()
        finished = asyncio.ensure_future(self._posts.ended())
        late = asyncio.ensure_future(self._clock.sleep(self.options.drain_timeout))
        try:
            await asyncio.wait((finished, late), return_when=asyncio.FIRST_COMPLETED)
        finally:
            finished.cancel()
            late.cancel()
        self._posts.cancel()
        await self._posts.ended()
        self._deletes.flush()
        await self._deleting.ended()

    async def _receive(self, count: int) -> Sequence[Received]:
        try:
            received = await self._queue.receive(count, self.options.visibility_timeout)
        except QueueError as trouble:
            if not self._troubled:
                _log.warning("cannot receive: %s", trouble)
            self._troubled = True
            await self._clock.sleep(PAUSE)
            return ()
        if self._troubled:
            _log.warning("receiving again")
        self._troubled = False
        self.counters.received += len(received)
        return received

    async def _carry(self, message: Received) -> None:
        await self._delivery.deliver(message)
        self._pollers.left()
