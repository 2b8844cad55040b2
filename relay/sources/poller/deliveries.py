"""The messages in flight: each is scheduled, handled and settled.

A message has a task of its own only while something about it is special: see `fast_path`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from types import TracebackType
from typing import Any, Self

from relay.aws.sqs_values import ReceivedMessage
from relay.delivery.fast_path import Begin, FastDelivery, Rest
from relay.model.message import Message
from relay.model.outcome import Outcome, Retry
from relay.sources.poller.fast_lease import FastLease
from relay.sources.poller.lease import Lease, Leases, Stage, leases_of, now
from relay.sources.poller.receive_gate import ExpiringSweep
from relay.sources.poller.receiver import Capacity
from relay.sources.poller.scheduler import Scheduler
from relay.sources.poller.settling import Settler, backoff

PARKED_FOR = 900.0
"""Seconds for which a message that cannot be handled now is hidden at a time."""


class Deliveries:
    """Starts messages in the scheduler's order and settles them by their outcomes.

    An async context: leaving it waits for all tasks; a task that fails cancels the body and the
    other tasks.

    Args:
        handle: returns a message's outcome, and raises no exception of its own. The second argument
            is what is left of the work, None for all of it.
        scheduler: decides which message starts next.
        capacity: released for each message that is settled.
        settler: ends leases.
        gate: while it is closed, a message that loses its lease is withdrawn, not sent late, and
            one that the queue will soon delete starts at once.
        visibility: seconds for which a receive hides a message.
        slots: the most messages handled at a time.
        begin: begins what `handle` does, on the fast path where that is possible; None if it never
            is. Raises no exception of its own.
        clock: the clock of the leases.
    """

    def __init__(  # noqa: PLR0913 - what one poller puts together
        self,
        handle: Callable[[Message, Rest | None], Awaitable[Outcome]],
        scheduler: Scheduler,
        capacity: Capacity,
        settler: Settler,
        *,
        gate: ExpiringSweep,
        visibility: float,
        slots: int,
        begin: Begin | None = None,
        clock: Callable[[], float] = now,
    ) -> None:
        self.leases = Leases()
        self.handling = 0
        self._handle = handle
        self._scheduler = scheduler
        self._capacity = capacity
        self._settler = settler
        self._gate = gate
        self._visibility = visibility
        self._slots = slots
        self._begin = begin
        self._clock = clock
        self._tasks = asyncio.TaskGroup()
        self._stopping = False
        self.left = False
        self._start_scheduled = False
        self._receives_ended = asyncio.Event()
        self._empty = asyncio.Event()
        self._empty.set()

    async def __aenter__(self) -> Self:
        await self._tasks.__aenter__()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.left = True  # what is still on the fast path is not settled any more, nor sent
        for lease in self.leases:
            if lease.fast is not None:
                lease.fast.abandon()
        await self._tasks.__aexit__(kind, error, trace)

    def accept(self, batch: Sequence[ReceivedMessage], requested_at: float, reserved: int) -> None:
        """Take the messages of a receive. Their leases count from before its request."""
        leases = leases_of(batch, requested_at, self._visibility)
        self._capacity.correct(reserved, [lease.size for lease in leases])
        fresh = []
        for lease in leases:
            if self.leases.add(lease):
                fresh.append(lease)
            else:
                self._capacity.release(lease.size)
        if fresh:
            self._empty.clear()
            self._admit(self._kept(fresh))
            if self._gate.closed:
                self.start_expiring()

    def _kept(self, leases: list[Lease]) -> list[Lease]:
        """The messages to take; the others are released.

        While paused, a poll that was open before may return some, and a look at the age of those
        that wait returns one. Only those that the queue will soon delete are taken.
        """
        gate = self._gate
        if not gate.paused:
            return leases
        kept = [lease for lease in leases if gate.expiring(lease.message)]
        self._start_release([lease for lease in reversed(leases) if lease not in kept])
        return kept

    def start_expiring(self) -> None:
        """Start the messages that the queue will soon delete, although no slot is free.

        Does nothing while the gate is open: then slots become free. While it is closed, they hold
        messages that wait for the destination and may be much younger.
        """
        if self._gate.closed:
            waiting = [lease for lease in self.leases if lease.stage is Stage.WAITING]
            self._start(beyond=sum(self._gate.expiring(lease.message) for lease in waiting))

    def lease_lost(self, lease: Lease) -> None:
        """Drop a message that has not started. One that has started may finish.

        While the gate is closed it is withdrawn, to be received again. Not if it is expiring: SQS
        may have deleted it.
        """
        if lease.stage is Stage.WAITING:
            self._start_release(self._scheduler.drop(lease))
            self.remove(lease)
        elif self._gate.closed and not self._gate.expiring(lease.message):
            lease.withdraw()

    def stop(self) -> None:
        """Start no more messages and finish those that were started. `release` is for the rest."""
        self._stopping = True

    def release(self) -> None:
        """Release what has not started. Call it after the last poll, which could return it."""
        self._receives_ended.set()
        self._start_release(self._scheduler.drain())

    def withdraw(self) -> None:
        """Cancel all handlers and release their messages."""
        for lease in self.leases:
            lease.withdraw()

    async def wait_empty(self) -> None:
        """Return when no message is in flight."""
        await self._empty.wait()

    def cancel(self) -> None:
        """Cancel what is still being settled."""
        for lease in self.leases:
            if lease.task is not None:
                lease.task.cancel()

    def remaining(self) -> list[Lease]:
        """The messages still in flight, the later ones of a group first."""
        waiting = self._scheduler.drain()
        return [*waiting, *(lease for lease in self.leases if lease not in waiting)]

    def _admit(self, leases: Sequence[Lease]) -> None:
        gate = self._gate
        # Received only to see which of them are expiring.
        swept = self._capacity.exceeded and gate.closed
        for lease in leases:
            surplus = swept and not gate.expiring(lease.message)
            if self._scheduler.admits(lease) and not surplus:
                self._scheduler.add(lease)
            else:
                lease.stage = Stage.SETTLING
                self._tasks.create_task(self._hide(lease))
        self._start()

    def _start(self, beyond: int = 0) -> None:
        """Start messages in the free slots, and so many without one."""
        at = self._clock()
        while (self.handling < self._slots or beyond > 0) and not self._stopping:
            beyond -= self.handling >= self._slots
            lease = self._scheduler.take()
            if lease is None:
                return
            self.handling += 1
            lease.stage = Stage.HANDLING
            rest = None
            if self._begin is not None and lease.held(at):
                begun = self._begin(lease.message, FastLease(self, self._settler, lease))
                if isinstance(begun, FastDelivery):
                    lease.fast = begun
                    continue
                rest = begun
            self._tasks.create_task(self.deliver(lease, rest))

    def _start_scheduled_now(self) -> None:
        self._start_scheduled = False
        if not self.left:
            self._start()

    def run(self, work: Coroutine[Any, Any, object]) -> None:
        """Run the work in a task that belongs to the deliveries."""
        self._tasks.create_task(work)

    async def deliver(self, lease: Lease, rest: Rest | None = None) -> None:
        """Handle and settle a message that was started, in the caller's task."""
        lease.task = asyncio.current_task()
        outcome = await self._outcome(lease, rest)
        await self.finish(lease, outcome, self.end(lease, outcome))

    def end(self, lease: Lease, outcome: Outcome | None) -> Sequence[Lease]:
        """End the handling. Returns the messages to release before this one is settled."""
        lease.stage, lease.fast = Stage.SETTLING, None  # no cycle: the collector runs rarely
        self.handling -= 1
        later = self._scheduler.end(lease, outcome)
        if not self._start_scheduled:
            # Once, however many slots become free in this round of the event loop.
            self._start_scheduled = True
            asyncio.get_running_loop().call_soon(self._start_scheduled_now)
        for other in later:
            other.stage = Stage.SETTLING
        return later

    async def finish(self, lease: Lease, outcome: Outcome | None, later: Sequence[Lease]) -> None:
        """Settle a message that was handled, in the caller's task."""
        lease.task = asyncio.current_task()
        if later:
            # First, and awaited: SQS returns none of the group while its head is hidden.
            await self._release(later)
        await self._settle(lease, outcome)
        self.remove(lease)

    async def _outcome(self, lease: Lease, rest: Rest | None) -> Outcome | None:
        """The handler's outcome; None if the message was withdrawn or its lease has ended."""
        if lease.fast is None:
            if lease.withdrawn or not lease.held(self._clock()):
                return None  # the process may have been suspended before the message could start
        elif lease.withdrawn:
            asyncio.get_running_loop().call_soon(lease.cancel_handling)
        try:
            return await self._handle(lease.message, rest)
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if not lease.withdrawn or task is None or task.uncancel() > 0:
                raise
            return None

    async def _settle(self, lease: Lease, outcome: Outcome | None) -> None:
        if outcome is None:
            await self._settler.release([lease])
        elif not isinstance(outcome, Retry):
            await self._settler.delete(lease)
        elif outcome.after is None and self._stopping:
            await self._receives_ended.wait()
            await self._settler.release([lease])
        else:
            await self._settler.hide(lease, self._delay(lease, outcome))

    def _delay(self, lease: Lease, retry: Retry) -> float:
        return backoff(lease.message.receive_count) if retry.after is None else retry.after

    async def _hide(self, lease: Lease) -> None:
        lease.task = asyncio.current_task()
        await self._settler.hide(lease, PARKED_FOR)
        self.remove(lease)

    def _start_release(self, leases: Sequence[Lease]) -> None:
        for lease in leases:
            lease.stage = Stage.SETTLING
        if leases:
            self._tasks.create_task(self._release(leases))

    async def _release(self, leases: Sequence[Lease]) -> None:
        for lease in leases:
            lease.task = asyncio.current_task()
        await self._settler.release(leases)
        for lease in leases:
            self.remove(lease)

    def remove(self, lease: Lease) -> None:
        """Forget a message that is settled."""
        self.leases.remove(lease)
        self._capacity.release(lease.size)
        if not self.leases:
            self._empty.set()
