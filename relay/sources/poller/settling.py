"""Settling: deletes and visibility changes in tens, each entry tried until its lease ends."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Sequence

from relay.aws.errors import AwsError
from relay.aws.sqs import Queue
from relay.aws.sqs_values import BATCH_ENTRIES, Failed
from relay.forwarding.batcher import Batcher
from relay.model.facts import DeletedLate, DeleteFailed, Observe, ReleaseFailed, ignore
from relay.sources.poller.lease import Lease, now
from relay.sources.poller.receive_health import ReceiveHealth

LINGER = 0.1
"""Seconds that a delete may wait for others: nine of ten requests are saved by it."""

IN_FLIGHT = 8
"""Requests of a kind under way: at 20 ms each they settle 4,000 messages a second."""

FIRST_PAUSE = 0.1
LONGEST_PAUSE = 5.0

FIRST_BACKOFF = 2.0
LONGEST_BACKOFF = 900.0
MOST_DOUBLINGS = 16

Uniform = Callable[[float, float], float]


def backoff(receive_count: int, uniform: Uniform = random.uniform) -> float:
    """Seconds until a message that must wait comes again: full jitter, doubling by its receives.

    At least one second, so that what fails at once does not spin.
    """
    doublings = min(max(receive_count - 1, 0), MOST_DOUBLINGS)
    return max(1.0, uniform(0.0, min(LONGEST_BACKOFF, FIRST_BACKOFF * 2.0**doublings)))


class Settler:
    """Ends leases. What SQS refuses to the last is stated as a fact, never dropped silently.

    Args:
        queue: where the leases are from.
        way_in: is told of calls that fail as a whole: what cannot be settled is not taken.
        linger: seconds of real time that an entry may wait for others to go with.
        observe: is told of late and of failed settlings.
        clock: the clock that leases are counted by.
        sleep: waits on that clock.
        uniform: jitter.
    """

    def __init__(
        self,
        queue: Queue,
        receive_health: ReceiveHealth,
        *,
        linger: float = LINGER,
        observe: Observe = ignore,
        clock: Callable[[], float] = now,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        uniform: Uniform = random.uniform,
    ) -> None:
        self._queue = queue
        self._way_in = receive_health
        self._observe = observe
        self._clock = clock
        self._sleep = sleep
        self._uniform = uniform
        self._deletes: Batcher[str, Failed | None] = Batcher(
            self._delete, max_items=BATCH_ENTRIES, linger=linger, in_flight=IN_FLIGHT
        )
        self._changes: Batcher[tuple[str, float], Failed | None] = Batcher(
            self._change, max_items=BATCH_ENTRIES, linger=linger, in_flight=IN_FLIGHT
        )

    async def delete(self, lease: Lease) -> None:
        """Delete the message for good. A lease that has ended gets one late try."""
        message_id = lease.message.message_id
        if not lease.held(self._clock()):
            self._observe(DeletedLate(message_id))
        failed = await self._persist(lease, self._deletes.submit)
        if failed is not None:
            self._observe(DeleteFailed(message_id, failed.sentence))
        for handle in lease.former:
            # A standard queue may keep a second copy, which only its own handle deletes.
            await self._deletes.submit(handle)

    async def hide(self, lease: Lease, seconds: float) -> None:
        """Let the message come again after so many seconds, as far as SQS's 12 hours let it."""
        await lease.extended()
        at = self._clock()
        if not lease.held(at):
            return
        rest = min(seconds, lease.longest(at))
        failed = await self._persist(lease, lambda handle: self._changes.submit((handle, rest)))
        if failed is not None:
            self._observe(ReleaseFailed(lease.message.message_id, failed.sentence))

    async def release(self, leases: Sequence[Lease]) -> None:
        """Make messages visible now, one after the other in this order."""
        for lease in leases:
            await lease.extended()
        pending = [lease for lease in leases if lease.held(self._clock())]
        attempt = 0
        while pending:
            changes = [(lease.handle, 0.0) for lease in pending]
            results = await self._change(changes)
            pending = [
                lease
                for lease, (handle, _), failed in zip(pending, changes, results, strict=True)
                if lease.handle != handle or (failed is not None and self._may_still(lease, failed))
            ]
            if pending:
                await self._sleep(self._pause(attempt))
                attempt += 1

    async def aclose(self) -> None:
        """Give up what is still being tried. Releasing goes on to work."""
        await self._deletes.aclose()
        await self._changes.aclose()

    def _may_still(self, lease: Lease, failed: Failed) -> bool:
        if not failed.permanent and lease.held(self._clock()):
            return True
        self._observe(ReleaseFailed(lease.message.message_id, failed.sentence))
        return False

    async def _persist(
        self, lease: Lease, submit: Callable[[str], Awaitable[Failed | None]]
    ) -> Failed | None:
        """Try until SQS agrees, or it never will, or the lease has ended; the last answer."""
        attempt = 0
        while True:
            handle = lease.handle
            failed = await submit(handle)
            if lease.handle != handle:
                continue  # received again meanwhile: only the newest handle is sure to work
            if failed is None or failed.permanent or not lease.held(self._clock()):
                return failed
            await self._sleep(self._pause(attempt))
            attempt += 1

    def _pause(self, attempt: int) -> float:
        longest = min(LONGEST_PAUSE, FIRST_PAUSE * 2.0 ** min(attempt, MOST_DOUBLINGS))
        return self._uniform(0.5, 1.0) * longest

    async def _delete(self, handles: Sequence[str]) -> Sequence[Failed | None]:
        return await self._answers("delete", self._queue.delete(handles), len(handles))

    async def _change(self, changes: Sequence[tuple[str, float]]) -> Sequence[Failed | None]:
        change = self._queue.change_visibility(changes)
        return await self._answers("change visibility", change, len(changes))

    async def _answers(
        self, call: str, answers: Awaitable[list[Failed | None]], count: int
    ) -> list[Failed | None]:
        try:
            results = await answers
        except AwsError as error:
            self._way_in.failed(call, error)
            return [Failed(error.code, error.sentence)] * count
        self._way_in.passed(call)
        return results
