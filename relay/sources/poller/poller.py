"""The poller: receives messages from one SQS queue, handles them and settles them (pull mode)."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from functools import partial
from typing import Any, TypeVar

from relay.aws.sqs import Queue
from relay.aws.sqs_values import ReceivedMessage
from relay.delivery.fast_path import Begin, Caller, FastDelivery, Rest, raising
from relay.delivery.retention import Retention, longest_lease, refresh_retention
from relay.model.facts import HandlerRaised, Observe, ignore
from relay.model.message import Message
from relay.model.outcome import Delivered, Outcome, Reject, Retry
from relay.settings.clocks import LAST_RELEASES
from relay.sources.poller.deliveries import Deliveries
from relay.sources.poller.lease import Heartbeat, now
from relay.sources.poller.limits import Limits, PollerStatus
from relay.sources.poller.receive_gate import (
    AlwaysOpen,
    ExpiringSweep,
    Gate,
    ReceiveHealth,
    wait_for_attributes,
)
from relay.sources.poller.receiver import Accept, Capacity, Receive, Receiver
from relay.sources.poller.scheduler import FairScheduler, GroupScheduler
from relay.sources.poller.settling import Settler

DEFAULT_VISIBILITY = 30.0
"""Seconds used where the queue's own timeout is 0, which leaves no time to handle a message."""

POLL_MARGIN = 2.0
"""Seconds by which a long poll ends before the drain deadline."""

LAST_POLL = 1.0
"""Seconds for which a second stop waits for open polls. The messages that they return would
otherwise stay hidden until their visibility timeout."""

T = TypeVar("T")
_log = logging.getLogger(__name__)


class Poller:
    """Consumes one queue until it is stopped.

    The handler returns each message's outcome. `Delivered` and `Reject` delete the message. Before
    it returns `Reject`, the handler must have stored any copy it needs. `Retry` makes the message
    visible again after its seconds, or after a growing, jittered time. An exception means `Retry`.
    This poller never handles the same message twice concurrently, but SQS may return it again at
    any later time: handlers must be idempotent. The handler of a message that is withdrawn is
    cancelled. That happens when its lease is lost while the gate is closed, and when a stop reaches
    its deadline.

    Args:
        queue: where to receive from. On a FIFO queue a group's messages are handled in order.
        handle: returns a message's outcome. Many run at a time.
        begin: begins what `handle` does, on the fast path where that is possible.
        gate: nothing is received while it is closed.
        limits: how much is taken at a time.
        observe: gets a fact for everything that happens.
        clock: seconds; the clock of the leases.
        sleep: sleeps on that clock.
        retention: the queue's, kept up to date by the poller. A message past 90 % of it lets
            a stopped FIFO group go on, and is received although the gate is closed: losing it would
            be worse than the wrong order or a receive too many.
    """

    def __init__(  # noqa: PLR0913 - its parts have defaults
        self,
        queue: Queue,
        handle: Callable[[Message], Awaitable[Outcome]],
        *,
        begin: Begin | None = None,
        gate: Gate | None = None,
        limits: Limits | None = None,
        observe: Observe = ignore,
        clock: Callable[[], float] = now,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        retention: Retention | None = None,
    ) -> None:
        self._queue = queue
        self._handle = handle
        self._begin = begin
        self._name = getattr(handle, "__qualname__", type(handle).__name__)
        self._gate = gate or AlwaysOpen()
        self._limits = limits or Limits()
        self._observe = observe
        self._clock = clock
        self._sleep = sleep
        self._retention = retention or Retention()
        self._health = ReceiveHealth(
            longest_pause=lambda: self._retention.longest_pause,
            observe=observe,
            clock=clock,
            sleep=sleep,
        )
        self._settler = Settler(
            queue,
            self._health,
            longest_hide=self._retention.longest_hide,
            linger=self._limits.linger,
            observe=observe,
            clock=clock,
            sleep=sleep,
        )
        self._deliveries: Deliveries | None = None
        self._stopping = asyncio.Event()
        self._stop_now = asyncio.Event()

    @property
    def status(self) -> PollerStatus:
        """What it is doing now."""
        state = "stopping" if self._stopping.is_set() else self._health.state
        return PollerStatus(
            state=state,
            reason=self._health.reason,
            in_flight=len(self._deliveries.leases) if self._deliveries else 0,
            handling=self._deliveries.handling if self._deliveries else 0,
        )

    def stop(self) -> None:
        """Receive no more and finish what is in flight. A second call releases it at once."""
        if self._stopping.is_set():
            self._stop_now.set()
        self._stopping.set()

    async def run(self) -> None:
        """Consume until stopped. Returns when no message is in flight. Call it once."""
        attributes = await self._unless_stopped(wait_for_attributes(self._queue, self._health))
        if attributes is None:
            return
        self._retention.update(attributes)
        visibility = attributes.visibility or DEFAULT_VISIBILITY
        visibility = min(visibility, longest_lease(attributes.retention))
        capacity = Capacity(
            self._limits.max_in_flight, self._limits.max_in_flight_bytes, attributes.maximum_size
        )
        sweep = ExpiringSweep(self._gate, self._retention)
        deliveries = self._deliveries = Deliveries(
            self._handled,
            self._scheduler(),
            capacity,
            self._settler,
            gate=sweep,
            visibility=visibility,
            slots=self._limits.handler_concurrency or self._limits.max_in_flight,
            begin=None if self._begin is None else self._begun,
            clock=self._clock,
        )
        receiver = Receiver(
            self._receive_call(visibility),
            capacity,
            _accept(deliveries, sweep),
            gate=sweep,
            receive_health=self._health,
            visibility=visibility,
            receivers=self._limits.receivers,
            clock=self._clock,
        )
        await self._consume(deliveries, receiver, visibility)

    def _scheduler(self) -> GroupScheduler | FairScheduler:
        if self._queue.fifo:
            return GroupScheduler(
                stop_on_reject=self._limits.stop_on_reject, expiring=self._retention.expiring
            )
        return FairScheduler()

    async def _consume(self, deliveries: Deliveries, receiver: Receiver, visibility: float) -> None:
        heartbeat = Heartbeat(
            self._queue,
            deliveries.leases,
            visibility,
            lost=deliveries.lease_lost,
            observe=self._observe,
            clock=self._clock,
            sleep=self._sleep,
        )
        try:
            async with deliveries, asyncio.TaskGroup() as tasks:
                extending = tasks.create_task(heartbeat.run(), name="heartbeat")
                receiving = tasks.create_task(receiver.run(), name="receiver")
                refresh = refresh_retention(self._retention, self._queue, self._sleep)
                refreshing = tasks.create_task(refresh, name="retention")
                starting = tasks.create_task(self._start_expiring(deliveries), name="expiring")
                await self._stopping.wait()
                receiver.stop()
                deliveries.stop()
                await self._drain(deliveries, receiving)
                extending.cancel()
                refreshing.cancel()
                starting.cancel()
        finally:
            await self._settler.aclose()
            # An orderly stop leaves nothing here; a cancelled or failed run still releases.
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._settler.release(deliveries.remaining()), LAST_RELEASES)

    async def _start_expiring(self, deliveries: Deliveries) -> None:
        while True:
            await self._sleep(self._retention.check_every)
            deliveries.start_expiring()

    async def _drain(self, deliveries: Deliveries, receiving: asyncio.Task[None]) -> None:
        """Finish by the deadline or the second stop, then withdraw and release the rest."""
        await self._first_of(
            self._finished(deliveries, receiving),
            self._sleep(self._limits.drain),
            self._stop_now.wait(),
        )
        if self._stop_now.is_set():
            # If we cancel an open receive, SQS may still hand it the messages released now and hide
            # them. Left open, it returns them, and we release them again.
            deliveries.withdraw()
            deliveries.release()
            await self._first_of(asyncio.wait({receiving}), self._sleep(LAST_POLL))
        receiving.cancel()
        await asyncio.wait({receiving})
        deliveries.withdraw()
        deliveries.release()
        await self._first_of(deliveries.wait_empty(), self._sleep(LAST_RELEASES))
        deliveries.cancel()

    async def _finished(self, deliveries: Deliveries, receiving: asyncio.Task[None]) -> None:
        await asyncio.wait({receiving})
        deliveries.release()
        await deliveries.wait_empty()

    def _receive_call(self, visibility: float) -> Receive:
        # A lease counts from before the receive, so a message that arrives at the very end of a
        # long poll must still have half of it. And a stop must not have to cancel the poll: SQS
        # may still hand it the messages released just then.
        limits = self._limits
        wait = max(1.0, min(limits.wait, visibility / 2, limits.drain - POLL_MARGIN))
        return lambda most, attempt: self._queue.receive(most, wait, visibility, attempt)

    def _begun(self, message: Message, caller: Caller) -> FastDelivery | Rest:
        """What the handler has begun. If it raises, so does the rest, which `_handled` runs."""
        assert self._begin is not None  # noqa: S101 - or nobody calls this
        try:
            return self._begin(message, caller)
        except Exception as error:  # noqa: BLE001 - see `_handled`
            return partial(raising, error)

    async def _handled(self, message: Message, rest: Rest | None) -> Outcome:
        """The outcome, by `rest` if it was begun. An exception concerns this message only."""
        try:
            outcome: object = await (self._handle(message) if rest is None else rest())
        except Exception as error:  # noqa: BLE001 - the handler is not ours and may raise anything
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
        """Return when the first has ended, after cancelling and awaiting the others."""
        tasks = [asyncio.ensure_future(one) for one in work]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)


def _accept(deliveries: Deliveries, sweep: ExpiringSweep) -> Accept:
    def accept(batch: Sequence[ReceivedMessage], requested_at: float, reserved: int) -> None:
        sweep.received(batch)
        deliveries.accept(batch, requested_at, reserved)

    return accept


def _described(value: object) -> str:
    """What a handler returned, for the person who wrote it."""
    if isinstance(value, type):
        return f"the class {value.__name__} without parentheses"
    return f"{value!r:.100}" if value is None or isinstance(value, bool) else type(value).__name__
