"""Leases: keep received messages hidden while a run works, delete them, release the rest."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass

from relay.aws.errors import AwsError
from relay.aws.sqs import Queue
from relay.aws.sqs_values import BATCH_ENTRIES
from relay.delivery.retention import longest_lease
from relay.dlq.journal import Journal
from relay.model.message import Message
from relay.sources.poller.lease import MAX_VISIBILITY, VISIBILITY_MARGIN, now

SHORTEST_LEASE = 10.0
"""Seconds: a shorter lease may lapse before a batch is sent and deleted."""

ATTEMPTS = 4
FIRST_PAUSE = 0.2


def fitting_lease(lease: float, retention: float) -> float:
    """The lease, shortened for a queue that keeps its messages for so few seconds.

    A dead letter of a run that was killed is visible again before SQS deletes it.
    """
    return min(lease, max(SHORTEST_LEASE, longest_lease(retention)))


@dataclass(frozen=True, slots=True)
class Leased:
    """A message that SQS hides for us until `deadline`, counted from before the receive."""

    message: Message
    handle: str
    received_at: float
    deadline: float


@dataclass(slots=True)
class _Lease:
    handle: str
    received_at: float
    deadline: float


class Leases:
    """All messages that were received and neither deleted nor released, by MessageId.

    Args:
        queue: where they come from.
        lease: seconds for which a message is hidden at a time.
        clock: what leases are measured by.
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
        self._leases: dict[str, _Lease] = {}

    def __len__(self) -> int:
        """How many messages are leased."""
        return len(self._leases)

    def add(self, leased: Leased) -> None:
        """Add a message. If it was received before, only the new receipt handle is valid."""
        lease = _Lease(leased.handle, leased.received_at, leased.deadline)
        self._leases[leased.message.message_id] = lease

    def handle(self, message_id: str) -> str | None:
        """The receipt handle of a message whose lease has certainly not lapsed, or None."""
        lease = self._leases.get(message_id)
        return lease.handle if lease is not None and lease.deadline > self._clock() else None

    def forget(self, message_id: str) -> None:
        """Remove a message that is deleted or no longer leased."""
        self._leases.pop(message_id, None)

    @contextlib.asynccontextmanager
    async def extended(self) -> AsyncIterator[None]:
        """Extend all leases within the block, and release what is left at its end."""
        extending = asyncio.create_task(self._extend_due())
        try:
            yield
        finally:
            extending.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await extending
            await self.release()

    async def release(self) -> None:
        """Make all messages visible again; what SQS refuses is visible when its lease lapses."""
        at = self._clock()
        handles = [lease.handle for lease in self._leases.values() if lease.deadline > at]
        self._leases.clear()
        await release(self._queue, handles)

    async def _extend_due(self) -> None:
        while True:
            await self._sleep(self._lease / 6)
            due = self._clock() + self._lease / 2
            late = [lease for lease in self._leases.values() if lease.deadline < due]
            for start in range(0, len(late), BATCH_ENTRIES):
                await self._extend(late[start : start + BATCH_ENTRIES])

    async def _extend(self, late: list[_Lease]) -> None:
        at = self._clock()
        wanted = [
            (lease, min(self._lease, lease.received_at + MAX_VISIBILITY - VISIBILITY_MARGIN - at))
            for lease in late
        ]
        wanted = [(lease, seconds) for lease, seconds in wanted if seconds >= 1]
        entries = [(lease.handle, seconds) for lease, seconds in wanted]
        try:
            results = await self._queue.change_visibility(entries)
        except AwsError:
            return  # tried again soon; after a lapsed lease nothing is deleted
        for (lease, seconds), failed in zip(wanted, results, strict=True):
            if failed is None:
                lease.deadline = at + int(seconds)


async def release(queue: Queue, handles: Iterable[str]) -> int:
    """Make messages visible now, and count those that SQS confirmed.

    A lapsed lease needs no release.
    """
    released, left = 0, list(handles)
    for start in range(0, len(left), BATCH_ENTRIES):
        chunk = left[start : start + BATCH_ENTRIES]
        try:
            results = await queue.change_visibility([(handle, 0.0) for handle in chunk])
        except AwsError as error:
            if not error.transient:
                raise
            continue
        released += results.count(None)
    return released


class Deleter:
    """Deletes messages by their newest receipt handle.

    After a lapsed lease nothing is deleted: the message is received again.

    Attributes:
        leases: of the messages that may be deleted.
        count: deletions that SQS confirmed.
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
        self._unconfirmed: set[str] = set()
        self.count = 0

    @property
    def not_deleted(self) -> int:
        """How many deletions SQS has not confirmed."""
        return len(self._unconfirmed)

    async def delete(self, message_ids: Sequence[str]) -> None:
        """Delete these; `not_deleted` counts what SQS refuses.

        Raises:
            AwsError: SQS refuses all of them permanently.
        """
        left = list(message_ids)
        if not left:
            return
        self._unconfirmed.update(left)
        for attempt in range(1, ATTEMPTS + 1):
            left = await self._try(left)
            if not left or attempt == ATTEMPTS:
                return
            await self._sleep(FIRST_PAUSE * 2.0**attempt)

    async def finish(self) -> None:
        """Try the unconfirmed deletions once more."""
        if self._unconfirmed:
            await self._try(list(self._unconfirmed))

    async def _try(self, message_ids: Sequence[str]) -> list[str]:
        """Delete once; returns those that can be tried again."""
        leased = [(i, handle) for i in message_ids if (handle := self.leases.handle(i))]
        if not leased:
            return []
        try:
            results = await self._queue.delete([handle for _, handle in leased])
        except AwsError as error:
            if not error.transient:
                raise
            return [message_id for message_id, _ in leased]
        deleted = {i for (i, _), failed in zip(leased, results, strict=True) if failed is None}
        for message_id in deleted:
            self.leases.forget(message_id)
        self._unconfirmed -= deleted
        self.count += len(deleted)
        self._journal.record_deleted(deleted)
        return [message_id for message_id, _ in leased if message_id not in deleted]
