"""The event source: polls a queue, invokes a function and settles batches by its answers."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from relay.local.clock import Clock, SystemClock
from relay.local.lambda_events.event import CompleteFailure, Raw, failed_ids, payloads
from relay.local.lambda_events.function import Answer, FunctionError, Throttled
from relay.local.lambda_events.options import INVOKES_PER_POLLER, EventSourceOptions
from relay.local.lambda_events.queue import LONG_POLL, Queue, QueueError
from relay.local.lambda_events.scaling import START, Scaling

TEN = 10
PAUSE = 1.0
"""Seconds before the next receive after a failed one, and after the first throttle."""

LONGEST_PAUSE = 60.0
"""Seconds between two attempts to invoke a throttled function."""

_log = logging.getLogger(__name__)


@dataclass(slots=True)
class Counters:
    """What the event source has done.

    Attributes:
        received: messages.
        invoked: invocations, throttled ones excluded.
        errors: invocations whose whole batch failed.
        throttled: refused invocations.
        deleted: messages that it asked SQS to delete.
        failed: messages that a response reported as failed.
        dropped: messages of batches that were throttled until their visibility timeout.
    """

    received: int = 0
    invoked: int = 0
    errors: int = 0
    throttled: int = 0
    deleted: int = 0
    failed: int = 0
    dropped: int = 0


class EventSource:
    """Runs while entered. An instance can be entered only once.

    Its rules, with their sources in the Lambda Developer Guide:

    - It long-polls, five batches at a time at first (see `Scaling`). A batch is complete when it
      has `batch_size` messages, or 6 MB, or when the batching window has passed since its first
      message. ("Configuring scaling behavior for SQS event source mappings", "How Lambda processes
      records from stream and queue-based event sources".)
    - It never changes a visibility: each receive hides its messages for the queue's own timeout.
      After a success it deletes the batch. After an error, a timeout or a killed process the whole
      batch comes back when that timeout ends. ("Using Lambda with Amazon SQS".)
    - With partial responses it deletes all messages but those reported as failed.
    - A throttled invocation is tried again, with growing pauses, until the messages' visibility
      timeout has passed; then they are dropped, and SQS returns them. ("Handling errors for an SQS
      event source", backoff strategy.)
    - SQS returns no message of a FIFO group of which one is hidden, so a group has one batch at a
      time, and a failed message blocks its group until it is visible again. A batch may have
      several groups.

    On exit invocations under way are abandoned, as if the event source had died.

    `polling` is the number of batches that are received or processed now.

    Args:
        queue: the queue.
        invoke: invokes the function with an event; raises `Throttled`.
        options: as in `CreateEventSourceMapping`.
        function_timeout: seconds; must not exceed the queue's visibility timeout.
        clock: measures everything.

    Raises:
        ValueError: AWS would not create such an event source.
    """

    def __init__(
        self,
        queue: Queue,
        invoke: Callable[[bytes], Awaitable[Answer | FunctionError]],
        options: EventSourceOptions | None = None,
        *,
        function_timeout: float = 3.0,
        clock: Clock | None = None,
    ) -> None:
        self.counters = Counters()
        self.options = options = options or EventSourceOptions()
        problems = options.problems(
            fifo=queue.arn.endswith(".fifo"),
            function_timeout=function_timeout,
            visibility_timeout=queue.visibility,
        )
        if problems:
            raise ValueError("; ".join(problems))
        self._queue = queue
        self._invoke = invoke
        self._clock = clock = clock or SystemClock()
        fewest = START
        if options.provisioned_pollers is not None:
            fewest = options.provisioned_pollers[0] * INVOKES_PER_POLLER
        self._scaling = Scaling(most=options.most_concurrent, fewest=fewest, clock=clock.time)
        self._pollers: set[asyncio.Task[None]] = set()
        self._failed: list[BaseException] = []
        self._stopped = False
        self.polling = 0

    async def __aenter__(self) -> Self:
        """Start to receive."""
        self._fill()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop at once. An error of a poller, which is a bug of this class, is raised."""
        self._stopped = True
        for poller in self._pollers:
            poller.cancel()
        while self._pollers:
            await asyncio.wait(self._pollers)
        if error is None and self._failed:
            raise self._failed[0]

    def _fill(self) -> None:
        while self.polling < self._scaling.allowed and not self._stopped:
            self.polling += 1
            poller = asyncio.get_running_loop().create_task(self._poll())
            self._pollers.add(poller)
            poller.add_done_callback(self._ended)

    def _ended(self, poller: asyncio.Task[None]) -> None:
        self._pollers.discard(poller)
        if not poller.cancelled() and (error := poller.exception()) is not None:
            self._failed.append(error)

    async def _poll(self) -> None:
        """Process batches for as long as the allowed concurrency includes this poller."""
        try:
            while self.polling <= self._scaling.allowed:
                await self._poll_once()
                self._fill()
        finally:
            self.polling -= 1  # at once: the next poller must not count this one

    async def _poll_once(self) -> None:
        started = self._clock.time()
        batch = await self._receive_batch()
        if not batch:
            self._scaling.idle()
            return
        self._scaling.received()
        self._fill()
        for messages, event in payloads(batch, self._queue.arn):
            await self._process(messages, event, started + self._queue.visibility)

    async def _receive_batch(self) -> Sequence[Raw]:
        """A long poll, then more receives within the batching window."""
        batch = list(await self._receive(LONG_POLL))
        ends = self._clock.time() + self.options.batching_window
        while batch and len(batch) < self.options.batch_size:
            left = ends - self._clock.time()
            if left <= 0:
                break
            more = await self._receive(min(LONG_POLL, int(left)), len(batch))
            if not more and left < 1:
                break  # a receive cannot wait for a part of a second
            batch += more
        return batch

    async def _receive(self, wait: int, have: int = 0) -> Sequence[Raw]:
        try:
            found = await self._queue.receive(min(TEN, self.options.batch_size - have), wait)
        except QueueError as error:
            _log.warning("cannot receive: %s", error)
            await self._clock.sleep(PAUSE)
            return ()
        self.counters.received += len(found)
        return found

    async def _process(self, messages: Sequence[Raw], event: bytes, until: float) -> None:
        answer = await self._answer(event, until)
        if answer is None:
            self.counters.dropped += len(messages)
            return
        self.counters.invoked += 1
        failed = self._failures(answer, messages)
        if failed is None:
            self.counters.errors += 1
            self._scaling.failed()
            return
        self._scaling.succeeded()
        self.counters.failed += len(failed)
        done = [m["ReceiptHandle"] for m in messages if m["MessageId"] not in failed]
        for first in range(0, len(done), TEN):
            await self._delete(done[first : first + TEN])

    async def _answer(self, event: bytes, until: float) -> Answer | FunctionError | None:
        """The function's answer; None if it was throttled until the messages were visible again."""
        pause = PAUSE
        while self._clock.time() < until:
            try:
                return await self._invoke(event)
            except Throttled:
                self.counters.throttled += 1
                self._scaling.failed()
                await self._clock.sleep(min(pause, max(0.0, until - self._clock.time())))
                pause = min(LONGEST_PAUSE, pause * 2)
        return None

    def _failures(self, answer: Answer | FunctionError, messages: Sequence[Raw]) -> set[str] | None:
        """The MessageIds that failed; None if the whole batch did."""
        if isinstance(answer, FunctionError):
            _log.debug("the function failed: %s %s", answer.kind, answer.message)
            return None
        if not self.options.report_batch_item_failures:
            return set()
        try:
            return failed_ids(answer.body, (message["MessageId"] for message in messages))
        except CompleteFailure as error:
            _log.warning("the whole batch has failed: %s", error)
            return None

    async def _delete(self, handles: Sequence[str]) -> None:
        self.counters.deleted += len(handles)
        try:
            await self._queue.delete(handles)
        except QueueError as error:
            _log.warning("up to %d messages will be received again: %s", len(handles), error)
