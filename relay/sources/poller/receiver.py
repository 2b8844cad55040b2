"""Receiving: one long poller while the queue is idle, more while receives come back full."""

from __future__ import annotations

import asyncio
import itertools
import uuid
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from relay.aws.errors import AwsError
from relay.aws.sqs_values import BATCH_ENTRIES, ReceivedMessage
from relay.sources.poller.lease import now
from relay.sources.poller.receive_health import ReceiveHealth


class Room:
    """Bounds what is in hand by count and by bytes.

    A place is taken as if its message were the largest that the queue lets through, and corrected
    once the message is known, so that the bound on bytes holds before anything has arrived.

    Args:
        count: the most messages in hand.
        size: the most bytes in hand; one message is always let in.
        largest: bytes of the largest message that can arrive.
    """

    def __init__(self, count: int, size: int, largest: int) -> None:
        self._count = count
        self._size = size
        self._largest = largest
        self._taken = 0
        self._bytes = 0
        self._waiting: list[asyncio.Future[None]] = []
        # A receive for one message costs as much as one for ten: wait for a few free places, but
        # never leave more than a fiftieth of them idle for it.
        self._worthwhile = min(10, max(1, count // 50))

    @property
    def taken(self) -> int:
        """Places taken: messages in hand and those that were asked for."""
        return self._taken

    def take(self, most: int) -> int:
        """Take up to `most` places now; 0 where it is not worth asking yet."""
        places = min(most, self._count - self._taken)
        if places < min(self._worthwhile, most):
            return 0
        fitting = (self._size - self._bytes) // self._largest
        if fitting < 1 and self._taken == 0:
            fitting = 1
        places = min(places, fitting)
        if places < 1:
            return 0
        self._taken += places
        self._bytes += places * self._largest
        return places

    def correct(self, taken: int, sizes: list[int]) -> None:
        """Of `taken` places only as many are needed as there are sizes, each so many bytes."""
        self._taken -= taken - len(sizes)
        self._bytes -= taken * self._largest - sum(sizes)
        self._wake()

    def give(self, size: int) -> None:
        """Give back the place of one message of this size."""
        self._taken -= 1
        self._bytes -= size
        self._wake()

    async def freed(self) -> None:
        """Return when room was given back."""
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(waiter)
        await waiter

    def _wake(self) -> None:
        for waiter in self._waiting:
            if not waiter.done():
                waiter.set_result(None)
        self._waiting.clear()


Receive = Callable[[int, str], Awaitable[Sequence[ReceivedMessage]]]
"""Receives up to so many messages; the second argument names the attempt, for repeats of it."""

Accept = Callable[[Sequence[ReceivedMessage], float, int], None]
"""Takes what a receive brought: the messages, when it was asked for, and how many places it had."""


class Gate(Protocol):
    """The way on to where messages go. Nothing is received while it is closed."""

    @property
    def accepting(self) -> bool:
        """Whether another message is welcome now."""
        ...

    async def wait_accepting(self) -> None:
        """Return when another message is welcome."""
        ...


class AlwaysOpen:
    """The way of a handler that has none of its own."""

    accepting = True

    async def wait_accepting(self) -> None:
        """Return at once."""


@dataclass(slots=True)
class _Attempt:
    """A receive and its repeats: a lost answer is asked for again under the same id (FIFO)."""

    id: str
    asked_at: float


class Receiver:
    """Takes room, then receives, and hands over what came.

    Args:
        receive: asks the queue; hides what it brings for `visibility` seconds.
        room: what may still be taken in hand.
        accept: is told what came; it corrects the room that was taken for it.
        way: the way on.
        way_in: knows about the errors of the queue.
        visibility: seconds that a receive hides a message for.
        receivers: the most receives at a time.
        clock: the clock that leases are counted by.
    """

    def __init__(
        self,
        receive: Receive,
        room: Room,
        accept: Accept,
        *,
        gate: Gate,
        receive_health: ReceiveHealth,
        visibility: float,
        receivers: int,
        clock: Callable[[], float] = now,
    ) -> None:
        self._ask = receive
        self._room = room
        self._accept = accept
        self._way = gate
        self._way_in = receive_health
        self._visibility = visibility
        self._most = receivers
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
        """Ask for nothing more. A poll in flight ends by itself: SQS may have filled it already."""
        self._stopping = True
        for task in self._receivers - self._polling:
            task.cancel()

    def _add(self, group: asyncio.TaskGroup) -> None:
        task = group.create_task(self._receive_on(group), name="receiver")
        self._receivers.add(task)
        task.add_done_callback(self._receivers.discard)

    async def _receive_on(self, group: asyncio.TaskGroup) -> None:
        """One receiver: ends when stopped, or when it is one too many."""
        attempt: _Attempt | None = None
        while not self._stopping:
            asked = await self._take_room()
            if not asked:
                return
            came, attempt = await self._receive(asked, self._fresh(attempt))
            if came == asked and len(self._receivers) < self._most and not self._stopping:
                self._add(group)
            elif came < asked and attempt is None and self._retire():
                return

    def _retire(self) -> bool:
        """Whether this receiver is to end: the last one stays."""
        if len(self._receivers) < 2:  # noqa: PLR2004 - another one beside this
            return False
        self._receivers.discard(_this_task())
        return True

    def _fresh(self, attempt: _Attempt | None) -> _Attempt:
        """The attempt to go on with. One whose messages' leases are half over is not repeated."""
        if attempt is None or self._clock() - attempt.asked_at > self._visibility / 2:
            # Random bytes for each would cost as much as signing the request.
            return _Attempt(f"{self._name}-{next(self._attempts)}", self._clock())
        return attempt

    async def _take_room(self) -> int:
        """How many to ask for, once a receive is welcome and worth it; 0 for one too many.

        Only one receiver waits for a closed way, and the first receive after it is for one message.
        """
        while True:
            await self._way_in.clear()
            most = BATCH_ENTRIES
            while not self._way.accepting:
                if self._retire():
                    return 0
                await self._way.wait_accepting()
                most = 1
            if places := self._room.take(most):
                return places
            await self._room.freed()

    async def _receive(self, asked: int, attempt: _Attempt) -> tuple[int, _Attempt | None]:
        """How many messages came, and the attempt to repeat if its answer was lost."""
        task = _this_task()
        self._polling.add(task)
        try:
            batch = await self._ask(asked, attempt.id)
        except AwsError as error:
            self._room.correct(asked, [])
            self._way_in.failed("receive", error)
            return 0, attempt if error.kind == "connection" else None
        finally:
            self._polling.discard(task)
        self._way_in.passed("receive")
        self._accept(batch, attempt.asked_at, asked)
        return len(batch), None


def _this_task() -> asyncio.Task[Any]:
    task = asyncio.current_task()
    assert task is not None  # noqa: S101 - a coroutine runs in a task, for the type checker
    return task
