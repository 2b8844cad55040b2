"""Pull mode: receive what there is room for, handle it, settle it, and leave nothing locked."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from relay.aws.sqs import Queue
from relay.aws.sqs_values import ReceivedMessage
from relay.delivery.retention import Retention
from relay.model.facts import HandlerRaised, Observe, ignore
from relay.model.message import Message
from relay.model.outcome import Delivered, Outcome, Reject, Retry
from relay.sources.poller.deliveries import Deliveries
from relay.sources.poller.expiring import LastCall, attributes_of, follow
from relay.sources.poller.lease import Extender, now
from relay.sources.poller.receive_health import ReceiveHealth
from relay.sources.poller.receiver import Accept, AlwaysOpen, Gate, Receive, Receiver, Room
from relay.sources.poller.scheduler import FairLine, GroupLine
from relay.sources.poller.settling import Settler

USUAL_VISIBILITY = 30.0
"""Seconds asked for where the queue's own timeout is 0, with which nothing could be handled."""

MARGIN = 2.0
"""Seconds that a long poll ends before the drain's deadline does."""

LAST_POLL = 1.0
"""Seconds that a stop in a hurry waits for polls in flight, whose answers would be lost."""

FLUSH = 5.0
"""Seconds after the drain's deadline for the last deletes and releases."""

T = TypeVar("T")
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What a poller may take. Durations are seconds, sizes bytes.

    Attributes:
        max_in_flight: the most messages received and not yet settled.
        max_in_flight_bytes: the most bytes of them; one message is always taken.
        handling: the most handled at a time; None for all in hand.
        receivers: the most receives at a time; one while the queue is idle.
        wait: how long SQS waits for a message before it answers with none: at most 20, at most half
            the visibility timeout, and a little less than `drain`.
        drain: how long a stop lets the handling go on.
        linger: how long a delete or a visibility change waits for others to go with.
        park: on FIFO queues a rejected message stops its group instead of letting it go on.
    """

    max_in_flight: int = 500
    max_in_flight_bytes: int = 64 * 1_048_576
    handler_concurrency: int | None = None
    receivers: int = 4
    wait: float = 20.0
    drain: float = 25.0
    linger: float = 0.1
    park: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class PollerStatus:
    """What a poller is doing: `state` is `open`, `backing-off`, `halted` or `stopping`."""

    state: str
    reason: str
    max_in_flight: int
    handler_concurrency: int


class Poller:
    """Consumes one queue until it is stopped.

    The handler says what becomes of each message: `Delivered` and `Reject` delete it (the handler
    that rejects has kept a copy, if it wants one), `Retry` lets it come again after the seconds it
    names, else after a growing, jittered time. A handler that raises has said `Retry`. A message is
    handled once at a time by this poller, but may come again at any later time: handlers must be
    idempotent. A message that is withdrawn (its lease was lost while the way is closed, or a stop
    reached its deadline) has its handler cancelled.

    Args:
        queue: where to receive from. On a FIFO queue a group's messages are handled in order.
        handle: brings one message to its outcome. Many run at a time.
        way: the way on; nothing new is received while it is not accepting.
        limits: how much may be taken.
        observe: is told what happens.
        clock: seconds; leases are counted by it.
        sleep: waits on that clock.
        retention: tells when a parked group goes on, and messages are taken although the way is
            closed: order and receives are worth less than a loss. The poller keeps it up to date.
    """

    def __init__(
        self,
        queue: Queue,
        handle: Callable[[Message], Awaitable[Outcome]],
        *,
        gate: Gate | None = None,
        limits: Limits | None = None,
        observe: Observe = ignore,
        clock: Callable[[], float] = now,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        retention: Retention | None = None,
    ) -> None:
        self._queue = queue
        self._handle = handle
        self._name = getattr(handle, "__qualname__", type(handle).__name__)
        self._way = gate or AlwaysOpen()
        self._limits = limits or Limits()
        self._observe = observe
        self._clock = clock
        self._sleep = sleep
        self._retention = retention or Retention()
        self._way_in = ReceiveHealth(observe=observe, clock=clock, sleep=sleep)
        self._settler = Settler(
            queue,
            self._way_in,
            linger=self._limits.linger,
            observe=observe,
            clock=clock,
            sleep=sleep,
        )
        self._deliveries: Deliveries | None = None
        self._stopping = asyncio.Event()
        self._hurrying = asyncio.Event()

    @property
    def status(self) -> PollerStatus:
        """What it is doing now."""
        state = "stopping" if self._stopping.is_set() else self._way_in.state
        return PollerStatus(
            state=state,
            reason=self._way_in.reason,
            max_in_flight=len(self._deliveries.leases) if self._deliveries else 0,
            handler_concurrency=self._deliveries.handler_concurrency if self._deliveries else 0,
        )

    def stop(self) -> None:
        """Take no more and finish what is in hand; called again: release it and go."""
        if self._stopping.is_set():
            self._hurrying.set()
        self._stopping.set()

    async def run(self) -> None:
        """Consume until stopped. Returns when nothing is in hand any more. Once per poller."""
        attributes = await self._unless_stopped(attributes_of(self._queue, self._way_in))
        if attributes is None:
            return
        self._retention.seconds = attributes.retention
        visibility = attributes.visibility or USUAL_VISIBILITY
        room = Room(
            self._limits.max_in_flight, self._limits.max_in_flight_bytes, attributes.maximum_size
        )
        expiring = self._retention.expiring
        self._deliveries = Deliveries(
            self._handled,
            GroupLine(park=self._limits.park, expiring=expiring)
            if self._queue.fifo
            else FairLine(),
            room,
            self._settler,
            gate=self._way,
            visibility=visibility,
            slots=self._limits.handler_concurrency or self._limits.max_in_flight,
            clock=self._clock,
        )
        last_call = LastCall(self._way, expiring)
        intake = Receiver(
            self._receive(visibility),
            room,
            _accepting(self._deliveries, last_call),
            gate=last_call,
            receive_health=self._way_in,
            visibility=visibility,
            receivers=self._limits.receivers,
            clock=self._clock,
        )
        await self._consume(self._deliveries, intake, visibility)

    async def _consume(self, deliveries: Deliveries, intake: Receiver, visibility: float) -> None:
        extender = Extender(
            self._queue,
            deliveries.leases,
            visibility,
            lost=deliveries.lost,
            observe=self._observe,
            clock=self._clock,
            sleep=self._sleep,
        )
        try:
            async with deliveries, asyncio.TaskGroup() as tasks:
                extending = tasks.create_task(extender.run(), name="extender")
                receiving = tasks.create_task(intake.run(), name="intake")
                following = follow(self._retention, self._queue, self._sleep)
                reading = tasks.create_task(following, name="retention")
                await self._stopping.wait()
                intake.stop()
                deliveries.stop()
                await self._wind_up(deliveries, receiving)
                extending.cancel()
                reading.cancel()
        finally:
            await self._settler.aclose()
            # Nothing is left here after an orderly stop; a cancelled or broken run still lets go.
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._settler.release(deliveries.left()), FLUSH)

    async def _wind_up(self, deliveries: Deliveries, receiving: asyncio.Task[None]) -> None:
        """Finish by the deadline or until hurried, then withdraw, release and go."""
        await self._first_of(
            self._finished(deliveries, receiving),
            self._sleep(self._limits.drain),
            self._hurrying.wait(),
        )
        if self._hurrying.is_set():
            # A poll that is cut off may still be given what is released then, and hide it. One that
            # is open brings it back at once, and it is released again.
            deliveries.withdraw()
            deliveries.release()
            await self._first_of(asyncio.wait({receiving}), self._sleep(LAST_POLL))
        receiving.cancel()
        await asyncio.wait({receiving})
        deliveries.withdraw()
        deliveries.release()
        await self._first_of(deliveries.emptied(), self._sleep(FLUSH))
        deliveries.cancel()

    async def _finished(self, deliveries: Deliveries, receiving: asyncio.Task[None]) -> None:
        await asyncio.wait({receiving})
        deliveries.release()
        await deliveries.emptied()

    def _receive(self, visibility: float) -> Receive:
        # A lease counts from before the receive: a message that comes at a long poll's very end
        # must still have half of it. And a stop must not have to cut it off: SQS may still give it
        # what is released just then.
        limits = self._limits
        wait = max(1.0, min(limits.wait, visibility / 2, limits.drain - MARGIN))
        return lambda most, attempt: self._queue.receive(most, wait, visibility, attempt)

    async def _handled(self, message: Message) -> Outcome:
        """The handler's outcome. What it raises concerns this message alone."""
        try:
            outcome: object = await self._handle(message)
        except Exception as error:  # noqa: BLE001 - a stranger's code may raise anything
            _log.exception("the handler %s raised for message %s", self._name, message.message_id)
            self._observe(HandlerRaised(message, error))
            return Retry(f"the handler raised {type(error).__name__}")
        if isinstance(outcome, Delivered | Retry | Reject):
            return outcome
        sentence = (
            f"the handler {self._name} returned {_described(outcome)}, which is not an outcome"
        )
        _log.error(
            "%s: message %s is retried; return Delivered(), Retry(reason) or Reject(code, reason)",
            sentence,
            message.message_id,
        )
        self._observe(HandlerRaised(message, TypeError(sentence)))
        return Retry(sentence)

    async def _unless_stopped(self, work: Coroutine[Any, Any, T]) -> T | None:
        task = asyncio.ensure_future(work)
        await self._first_of(task, self._stopping.wait())
        return None if task.cancelled() else await task

    async def _first_of(self, *work: Awaitable[object]) -> None:
        """Return when the first has ended; the others are cancelled, and awaited."""
        tasks = [asyncio.ensure_future(one) for one in work]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)


def _accepting(deliveries: Deliveries, last_call: LastCall) -> Accept:
    def accept(batch: Sequence[ReceivedMessage], asked_at: float, places: int) -> None:
        last_call.came(batch)
        deliveries.accept(batch, asked_at, places)

    return accept


def _described(value: object) -> str:
    """What a handler returned, for the person who wrote it."""
    if isinstance(value, type):
        return f"the class {value.__name__} without parentheses"
    return f"{value!r:.100}" if value is None or isinstance(value, bool) else type(value).__name__
