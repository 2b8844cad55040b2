"""The letters in our hands: held for as long as we work, released when we are done."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from dataclasses import dataclass

from relay.aws.batches import BATCH_ENTRIES
from relay.aws.errors import QueueError
from relay.aws.sqs import Queue
from relay.message import Message
from relay.poller.lease import LONGEST, MARGIN, now


@dataclass(frozen=True, slots=True)
class Leased:
    """A message that SQS hides for us until `deadline`, counted from before it was asked."""

    message: Message
    handle: str
    taken_at: float
    deadline: float


@dataclass(slots=True)
class _Held:
    handle: str
    taken_at: float
    deadline: float


class Holding:
    """Every message received and neither deleted nor released, by MessageId.

    Args:
        queue: where they are from.
        lease: seconds for which a message is hidden at a time.
        clock: what leases are counted by.
        sleep: waits on that clock.
    """

    def __init__(
        self,
        queue: Queue,
        lease: float,
        *,
        clock: Callable[[], float] = now,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._queue = queue
        self._lease = lease
        self._clock = clock
        self._sleep = sleep
        self._held: dict[str, _Held] = {}

    def __len__(self) -> int:
        """How many are in hand."""
        return len(self._held)

    def take(self, leased: Leased) -> None:
        """Take it in hand; a later receive of the same message has the handle that works."""
        held = _Held(leased.handle, leased.taken_at, leased.deadline)
        self._held[leased.message.message_id] = held

    def handle(self, message_id: str) -> str | None:
        """The handle of a message that is surely ours still, or None."""
        held = self._held.get(message_id)
        return held.handle if held is not None and held.deadline > self._clock() else None

    def let_go(self, message_id: str) -> None:
        """It is deleted, or no longer ours."""
        self._held.pop(message_id, None)

    @contextlib.asynccontextmanager
    async def kept(self) -> AsyncIterator[None]:
        """Extend what is in hand within the block, and release what is left at its end."""
        keeping = asyncio.create_task(self._keep())
        try:
            yield
        finally:
            keeping.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await keeping
            await self.release()

    async def release(self) -> None:
        """Make everything in hand visible again; what SQS refuses comes at its lease's end."""
        handles = [held.handle for held in self._held.values() if held.deadline > self._clock()]
        self._held.clear()
        await release(self._queue, handles)

    async def _keep(self) -> None:
        while True:
            await self._sleep(self._lease / 6)
            due = self._clock() + self._lease / 2
            late = [(i, held) for i, held in self._held.items() if held.deadline < due]
            for start in range(0, len(late), BATCH_ENTRIES):
                await self._extend(late[start : start + BATCH_ENTRIES])

    async def _extend(self, late: list[tuple[str, _Held]]) -> None:
        at = self._clock()
        asked = [(h, min(self._lease, h.taken_at + LONGEST - MARGIN - at)) for _, h in late]
        asked = [(held, seconds) for held, seconds in asked if seconds >= 1]
        try:
            results = await self._queue.change_visibility([(h.handle, s) for h, s in asked])
        except QueueError:
            return  # tried again soon; with a lapsed lease nothing is deleted
        for (held, seconds), failed in zip(asked, results, strict=True):
            if failed is None:
                held.deadline = at + int(seconds)


async def release(queue: Queue, handles: Iterable[str]) -> int:
    """Make messages visible now; how many SQS agreed to. A lapsed lease needs no release."""
    released, wanted = 0, list(handles)
    for start in range(0, len(wanted), BATCH_ENTRIES):
        chunk = wanted[start : start + BATCH_ENTRIES]
        try:
            results = await queue.change_visibility([(handle, 0.0) for handle in chunk])
        except QueueError as error:
            if not error.transient:
                raise
            continue
        released += results.count(None)
    return released
