"""What is in hand: each delivery from its receive to its end, one task each."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Sequence
from types import TracebackType
from typing import Self

from relay.aws.sqs_values import ReceivedMessage
from relay.model.message import Message
from relay.model.outcome import Outcome, Retry
from relay.sources.poller.lease import Lease, Leases, Stage, now, renewal
from relay.sources.poller.receiver import Gate, Room
from relay.sources.poller.scheduler import Line
from relay.sources.poller.settling import Settler, backoff

PARKED_FOR = 900.0
"""Seconds that a message that its line does not admit is hidden for at a time."""


class Deliveries:
    """Starts messages in their line's order, takes their outcomes and settles them.

    An async context: leaving it waits for all tasks; one that breaks ends the body and the others.

    Args:
        handle: brings a message to its outcome and raises nothing of its own.
        line: who may start next.
        room: what each delivery takes a place of.
        settler: ends leases.
        way: the way on. What lost its lease while it is closed is withdrawn, not sent late.
        visibility: seconds that a receive hides a message for.
        slots: the most handled at a time.
        clock: the clock that leases are counted by.
    """

    def __init__(
        self,
        handle: Callable[[Message], Awaitable[Outcome]],
        line: Line,
        room: Room,
        settler: Settler,
        *,
        gate: Gate,
        visibility: float,
        slots: int,
        clock: Callable[[], float] = now,
    ) -> None:
        self.leases = Leases()
        self.handler_concurrency = 0
        self._handle = handle
        self._line = line
        self._room = room
        self._settler = settler
        self._way = gate
        self._visibility = visibility
        self._slots = slots
        self._clock = clock
        self._tasks = asyncio.TaskGroup()
        self._stopping = False
        self._quiet = asyncio.Event()
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
        await self._tasks.__aexit__(kind, error, trace)

    def accept(self, batch: Sequence[ReceivedMessage], asked_at: float, places: int) -> None:
        """Take in hand what a receive brought. Its leases count from before it was asked."""
        leases = [self._lease(received, asked_at) for received in batch]
        self._room.correct(places, [lease.size for lease in leases])
        fresh = []
        for lease in leases:
            if self.leases.add(lease):
                fresh.append(lease)
            else:
                self._room.give(lease.size)
        if fresh:
            self._empty.clear()
            self._admit(fresh)

    def lost(self, lease: Lease) -> None:
        """Its lease has ended. What has not started must not; what was started may finish."""
        if lease.stage is Stage.WAITING:
            self._give_back(self._line.drop(lease))
            self._let_go(lease)
        elif not self._way.accepting:
            lease.withdraw()

    def stop(self) -> None:
        """Start nothing more and finish what was started. The rest is released by `release`."""
        self._stopping = True

    def release(self) -> None:
        """Release what has not started. Not before the last poll has ended: it would come back."""
        self._quiet.set()
        self._give_back(self._line.drain())

    def withdraw(self) -> None:
        """End all handling; the messages are released."""
        for lease in self.leases:
            lease.withdraw()

    async def emptied(self) -> None:
        """Return when nothing is in hand."""
        await self._empty.wait()

    def cancel(self) -> None:
        """Give up on what is still being settled."""
        for lease in self.leases:
            if lease.task is not None:
                lease.task.cancel()

    def left(self) -> list[Lease]:
        """What is in hand still, the later of a group first."""
        waiting = self._line.drain()
        return [*waiting, *(lease for lease in self.leases if lease not in waiting)]

    def _lease(self, received: ReceivedMessage, asked_at: float) -> Lease:
        message = received.message
        return Lease(
            message=message,
            handle=received.handle,
            taken_at=asked_at,
            deadline=asked_at + self._visibility,
            renew_at=renewal(asked_at, self._visibility, random.uniform),
            size=_size(message),
        )

    def _admit(self, leases: Sequence[Lease]) -> None:
        for lease in leases:
            if self._line.admits(lease):
                self._line.add(lease)
            else:
                lease.stage = Stage.SETTLING
                self._tasks.create_task(self._hide(lease))
        self._start()

    def _start(self) -> None:
        """Fill the free slots."""
        while self.handler_concurrency < self._slots and not self._stopping:
            lease = self._line.take()
            if lease is None:
                return
            self.handler_concurrency += 1
            lease.stage = Stage.HANDLING
            self._tasks.create_task(self._deliver(lease))

    async def _deliver(self, lease: Lease) -> None:
        lease.task = asyncio.current_task()
        outcome = None if lease.withdrawn else await self._outcome(lease)
        lease.stage = Stage.SETTLING
        self.handler_concurrency -= 1
        later = self._line.end(lease, outcome)
        self._start()
        for other in later:
            other.stage = Stage.SETTLING
        if later:
            # First, and awaited: the head that is settled next keeps the group closed till then.
            await self._release(later)
        await self._settle(lease, outcome)
        self._let_go(lease)

    async def _outcome(self, lease: Lease) -> Outcome | None:
        """What the handler says, None where the message was withdrawn or is not ours any more."""
        if not lease.held(self._clock()):
            return None  # a pause of the whole process may have ended it before it could start
        try:
            return await self._handle(lease.message)
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
            await self._quiet.wait()
            await self._settler.release([lease])
        else:
            await self._settler.hide(lease, self._pause(lease, outcome))

    def _pause(self, lease: Lease, retry: Retry) -> float:
        return backoff(lease.message.receive_count) if retry.after is None else retry.after

    async def _hide(self, lease: Lease) -> None:
        lease.task = asyncio.current_task()
        await self._settler.hide(lease, PARKED_FOR)
        self._let_go(lease)

    def _give_back(self, leases: Sequence[Lease]) -> None:
        for lease in leases:
            lease.stage = Stage.SETTLING
        if leases:
            self._tasks.create_task(self._release(leases))

    async def _release(self, leases: Sequence[Lease]) -> None:
        for lease in leases:
            lease.task = asyncio.current_task()
        await self._settler.release(leases)
        for lease in leases:
            self._let_go(lease)

    def _let_go(self, lease: Lease) -> None:
        self.leases.remove(lease)
        self._room.give(lease.size)
        if not self.leases:
            self._empty.set()


def _size(message: Message) -> int:
    if not message.attributes:
        return len(message.body)
    attributes = message.attributes.items()
    return len(message.body) + sum(len(name) + len(one.value) for name, one in attributes)
