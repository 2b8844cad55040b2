"""The letters in our hands: held for as long as we work, released when we are done."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass

from relay.aws.errors import AwsError
from relay.aws.sqs import Queue
from relay.aws.sqs_values import BATCH_ENTRIES
from relay.dlq.journal import Journal
from relay.model.message import Message
from relay.sources.poller.lease import MAX_VISIBILITY, VISIBILITY_MARGIN, now


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


class Leases:
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
        asked = [
            (h, min(self._lease, h.taken_at + MAX_VISIBILITY - VISIBILITY_MARGIN - at))
            for _, h in late
        ]
        asked = [(held, seconds) for held, seconds in asked if seconds >= 1]
        try:
            results = await self._queue.change_visibility([(h.handle, s) for h, s in asked])
        except AwsError:
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
        except AwsError as error:
            if not error.transient:
                raise
            continue
        released += results.count(None)
    return released


ATTEMPTS = 4
FIRST_PAUSE = 0.2


class Deleter:
    """Deletes by the newest handle. A lapsed lease proves nothing: then the letter comes again.

    `count` is what SQS agreed to, `holding` what is in hand.
    """

    def __init__(
        self,
        queue: Queue,
        leases: Leases,
        journal: Journal,
        *,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._queue = queue
        self.leases = leases
        self._journal = journal
        self._sleep = sleep
        self._owed: set[str] = set()
        self.count = 0

    @property
    def owed(self) -> int:
        """Letters that SQS was asked to delete and did not agree to."""
        return len(self._owed)

    async def delete(self, message_ids: Sequence[str]) -> None:
        """Delete these; what SQS refuses is owed.

        Raises:
            AwsError: it refuses all, and will again.
        """
        left = list(message_ids)
        if not left:
            return
        self._owed.update(left)
        for attempt in range(1, ATTEMPTS + 1):
            left = await self._try(left)
            if not left or attempt == ATTEMPTS:
                return
            await self._sleep(FIRST_PAUSE * 2.0**attempt)

    async def finish(self) -> None:
        """Try once more what is owed."""
        if self._owed:
            await self._try(list(self._owed))

    async def _try(self, message_ids: Sequence[str]) -> list[str]:
        """Those that are left."""
        ours = [(i, handle) for i in message_ids if (handle := self.leases.handle(i))]
        if not ours:
            return []
        try:
            results = await self._queue.delete([handle for _, handle in ours])
        except AwsError as error:
            if not error.transient:
                raise
            return [message_id for message_id, _ in ours]
        done = {i for (i, _), failed in zip(ours, results, strict=True) if failed is None}
        for message_id in done:
            self.leases.let_go(message_id)
        self._owed -= done
        self.count += len(done)
        self._journal.note_deleted(done)
        return [message_id for message_id, _ in ours if message_id not in done]
