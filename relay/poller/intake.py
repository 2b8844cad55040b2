"""Receiving: one long poller while the queue is idle, more while receives come back full."""

from __future__ import annotations

import asyncio
import itertools
import uuid
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from relay.aws.batches import BATCH_ENTRIES
from relay.aws.errors import QueueError
from relay.aws.values import Received
from relay.poller.lease import now
from relay.poller.room import Room
from relay.poller.way_in import WayIn

Receive = Callable[[int, str], Awaitable[Sequence[Received]]]
"""Receives up to so many messages; the second argument names the attempt, for repeats of it."""

Accept = Callable[[Sequence[Received], float, int], None]
"""Takes what a receive brought: the messages, when it was asked for, and how many places it had."""


class Way(Protocol):
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


class Intake:
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
        way: Way,
        way_in: WayIn,
        visibility: float,
        receivers: int,
        clock: Callable[[], float] = now,
    ) -> None:
        self._ask = receive
        self._room = room
        self._accept = accept
        self._way = way
        self._way_in = way_in
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
        except QueueError as error:
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
