"""Receives messages: one long poll while the queue is idle, more while receives come back full."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import uuid
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any

from relay.aws.errors import AwsError
from relay.aws.sqs_values import BATCH_ENTRIES, ReceivedMessage
from relay.sources.poller.lease import now
from relay.sources.poller.receive_gate import ExpiringSweep, ReceiveHealth

Receive = Callable[[int, str], Awaitable[Sequence[ReceivedMessage]]]
"""Receives up to so many messages. The second argument is the receive attempt id (FIFO)."""

Accept = Callable[[Sequence[ReceivedMessage], float, int], None]
"""Called with the received messages, the time of the request and the capacity reserved for it."""


class Capacity:
    """Limits the messages in flight by count and by bytes.

    Capacity is reserved before a receive, as if each message were the largest that the queue
    allows, and corrected once the messages are known. So the byte limit holds at any time.

    Args:
        count: the most messages in flight.
        size: the most bytes in flight; one message is always allowed.
        largest: bytes of the largest message that can arrive.
    """

    def __init__(self, count: int, size: int, largest: int) -> None:
        self._count = count
        self._size = size
        self._largest = largest
        self._reserved = 0
        self._bytes = 0
        self._waiters: list[asyncio.Future[None]] = []
        # A receive for one message costs as much as one for ten: wait for more free capacity, but
        # never leave more than a fiftieth of it idle for that.
        self._min_receive = min(10, max(1, count // 50))

    @property
    def reserved(self) -> int:
        """Messages in flight, and those that open receives may still return."""
        return self._reserved

    def reserve(self, most: int) -> int:
        """Reserve capacity for up to `most` messages; 0 while there is too little for a receive."""
        count = min(most, self._count - self._reserved)
        if count < min(self._min_receive, most):
            return 0
        fitting = (self._size - self._bytes) // self._largest
        if fitting < 1 and self._reserved == 0:
            fitting = 1
        count = min(count, fitting)
        if count < 1:
            return 0
        self._reserved += count
        self._bytes += count * self._largest
        return count

    def reserve_beyond(self, most: int) -> int:
        """Reserve up to `most` beyond the limits, for one receive at a time; 0 while it is open.

        It is for messages that the queue will soon delete, while what is in flight is younger.
        """
        count = min(most, self._count + BATCH_ENTRIES - self._reserved)
        if count < 1 or self._bytes > self._size:
            return 0
        self._reserved += count
        self._bytes += count * self._largest
        return count

    @property
    def exceeded(self) -> bool:
        """Whether more is in flight than the limits allow; one message is always allowed."""
        beyond = self._reserved > self._count or self._bytes > self._size
        return beyond and self._reserved > 1

    def correct(self, reserved: int, sizes: list[int]) -> None:
        """Replace a reservation by the messages that were received, given by their sizes."""
        self._reserved -= reserved - len(sizes)
        self._bytes -= reserved * self._largest - sum(sizes)
        self._wake()

    def release(self, size: int) -> None:
        """Release the capacity of one message of this size."""
        self._reserved -= 1
        self._bytes -= size
        if self._waiters:
            self._wake()

    async def wait_released(self) -> None:
        """Return when some capacity has been released."""
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiters.append(waiter)
        await waiter

    def _wake(self) -> None:
        for waiter in self._waiters:
            if not waiter.done():
                waiter.set_result(None)
        self._waiters.clear()


@dataclass(slots=True)
class _Attempt:
    """A receive and its repetitions: after a lost answer the same id gets the same messages (FIFO).

    `requested_at` is when the first of them was sent.
    """

    id: str
    requested_at: float


class Receiver:
    """Reserves capacity, receives, and hands over the messages.

    Args:
        receive: receives from the queue and hides the messages for `visibility` seconds.
        capacity: limits the messages in flight.
        accept: called with the messages; it corrects the reservation.
        gate: while it is closed, only messages that the queue will soon delete are received.
        receive_health: delays receives while calls to the queue fail.
        visibility: seconds for which a receive hides a message.
        receivers: the most receives at a time.
        clock: the clock of the leases.
    """

    def __init__(
        self,
        receive: Receive,
        capacity: Capacity,
        accept: Accept,
        *,
        gate: ExpiringSweep,
        receive_health: ReceiveHealth,
        visibility: float,
        receivers: int,
        clock: Callable[[], float] = now,
    ) -> None:
        self._request = receive
        self._capacity = capacity
        self._accept = accept
        self._gate = gate
        self._health = receive_health
        self._visibility = visibility
        self._max_receivers = receivers
        self._clock = clock
        self._receivers: set[asyncio.Task[None]] = set()
        self._polling: set[asyncio.Task[None]] = set()
        self._stopping = False
        self._name = uuid.uuid4().hex
        self._attempts = itertools.count(1)

    async def run(self) -> None:
        """Receive until stopped; returns when the last long poll has ended."""
        async with asyncio.TaskGroup() as group:
            self._add(group)

    def stop(self) -> None:
        """Start no more receives. An open long poll ends by itself: SQS may have answered it."""
        self._stopping = True
        for task in self._receivers - self._polling:
            task.cancel()

    def _add(self, group: asyncio.TaskGroup) -> None:
        task = group.create_task(self._run_receiver(group), name="receiver")
        self._receivers.add(task)
        task.add_done_callback(self._receivers.discard)

    async def _run_receiver(self, group: asyncio.TaskGroup) -> None:
        """Receive until stopped, or until fewer receivers are enough."""
        attempt: _Attempt | None = None
        while not self._stopping:
            reserved = await self._reserve()
            if not reserved:
                return
            received, attempt = await self._receive(reserved, self._next_attempt(attempt))
            full = received == reserved
            if full and len(self._receivers) < self._max_receivers and not self._stopping:
                self._add(group)
            elif received < reserved and attempt is None and self._retire():
                return

    def _retire(self) -> bool:
        """Whether this receiver must end. The last one goes on."""
        if len(self._receivers) < 2:  # noqa: PLR2004 - another one beside this
            return False
        self._receivers.discard(_this_task())
        return True

    def _next_attempt(self, attempt: _Attempt | None) -> _Attempt:
        """The attempt to repeat, or a new one if the leases that it may return are half over."""
        if attempt is None or self._clock() - attempt.requested_at > self._visibility / 2:
            # Random bytes for each would cost as much as signing the request.
            return _Attempt(f"{self._name}-{next(self._attempts)}", self._clock())
        return attempt

    async def _reserve(self) -> int:
        """Wait until a receive is possible and reserve its capacity; 0 if this receiver must end.

        Only one receiver waits for a closed gate. The first receive afterwards is for one message.
        """
        while True:
            await self._health.wait_clear()
            most = BATCH_ENTRIES
            while not self._gate.accepting:
                if self._retire():
                    return 0
                await self._gate.wait_accepting()
                most = 1
            if reserved := self._capacity.reserve(most):
                return reserved
            if self._gate.closed and (reserved := self._capacity.reserve_beyond(most)):
                return reserved
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._gate.every):
                    await self._capacity.wait_released()

    async def _receive(self, reserved: int, attempt: _Attempt) -> tuple[int, _Attempt | None]:
        """The number of messages received, and the attempt to repeat if its answer was lost."""
        task = _this_task()
        self._polling.add(task)
        try:
            batch = await self._request(reserved, attempt.id)
        except AwsError as error:
            self._capacity.correct(reserved, [])
            self._health.failed("receive", error)
            return 0, attempt if error.kind == "connection" else None
        finally:
            self._polling.discard(task)
        self._health.succeeded("receive")
        self._accept(batch, attempt.requested_at, reserved)
        return len(batch), None


def _this_task() -> asyncio.Task[Any]:
    task = asyncio.current_task()
    assert task is not None  # noqa: S101 - a coroutine runs in a task, for the type checker
    return task
