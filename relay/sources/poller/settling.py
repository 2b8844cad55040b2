"""Settling: deletes and visibility changes in batches of ten, retried until the lease ends."""

from __future__ import annotations

import asyncio
import math
import random
from collections.abc import Awaitable, Callable, Sequence

from relay.aws.errors import AwsError
from relay.aws.sqs import Queue
from relay.aws.sqs_values import BATCH_ENTRIES, Failed
from relay.forwarding.batcher import Batcher, Waiter
from relay.model.facts import DeletedLate, DeleteFailed, Observe, ReleaseFailed, ignore
from relay.model.message import Message
from relay.sources.poller.lease import Lease, now
from relay.sources.poller.receive_gate import ReceiveHealth

LINGER = 0.1
"""Seconds for which a delete waits for others: it saves nine of ten requests."""

CONCURRENCY = 8
"""Concurrent requests of each kind: at 20 ms each they settle 4,000 messages a second."""

FIRST_PAUSE = 0.1
MAX_PAUSE = 5.0

FIRST_BACKOFF = 2.0
MAX_BACKOFF = 900.0
MAX_DOUBLINGS = 16

Uniform = Callable[[float, float], float]


def backoff(receive_count: int, uniform: Uniform = random.uniform) -> float:
    """Seconds until a retry, with full jitter. The limit doubles with each receive.

    At least one second, so that a message that fails at once does not spin.
    """
    doublings = min(max(receive_count - 1, 0), MAX_DOUBLINGS)
    return max(1.0, uniform(0.0, min(MAX_BACKOFF, FIRST_BACKOFF * 2.0**doublings)))


class Settler:
    """Ends leases. What SQS refuses for good is reported as a fact, never dropped silently.

    Args:
        queue: the queue of the leases.
        receive_health: gets the calls that fail as a whole: what cannot be settled is not received.
        longest_hide: the most seconds for which a message may be hidden, for its retention.
        linger: seconds of real time for which an entry waits for others in its batch.
        observe: gets late deletes and what could not be settled.
        clock: the clock of the leases.
        sleep: sleeps on that clock.
        uniform: jitter.
    """

    def __init__(
        self,
        queue: Queue,
        receive_health: ReceiveHealth,
        *,
        longest_hide: Callable[[Message], float] = lambda _: math.inf,
        linger: float = LINGER,
        observe: Observe = ignore,
        clock: Callable[[], float] = now,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        uniform: Uniform = random.uniform,
    ) -> None:
        self._queue = queue
        self._health = receive_health
        self._longest_hide = longest_hide
        self._observe = observe
        self._clock = clock
        self._sleep = sleep
        self._uniform = uniform
        self._deletes: Batcher[str, Failed | None] = Batcher(
            self._delete, max_items=BATCH_ENTRIES, linger=linger, in_flight=CONCURRENCY
        )
        self._changes: Batcher[tuple[str, float], Failed | None] = Batcher(
            self._change, max_items=BATCH_ENTRIES, linger=linger, in_flight=CONCURRENCY
        )

    def begin_delete(self, lease: Lease, waiter: Waiter[Failed | None]) -> bool:
        """Begin the delete without waiting for its result. False if that has to be awaited."""
        if lease.old_handles or not lease.held(self._clock()):
            return False
        self._deletes.add(lease.handle, waiter)
        return True

    async def delete(self, lease: Lease, begun: tuple[str, Failed | None] | None = None) -> None:
        """Delete the message. If its lease has ended, try once all the same.

        `begun` is the handle and the result of the attempt that was made already, if any.
        """
        message_id = lease.message.message_id
        if begun is None and not lease.held(self._clock()):
            self._observe(DeletedLate(message_id))
        failed = await self._retry(lease, self._deletes.submit, begun)
        if failed is not None:
            self._observe(DeleteFailed(message_id, failed.sentence))
        for handle in lease.old_handles:
            # A standard queue may hold a second copy, which only its own handle deletes.
            await self._deletes.submit(handle)

    async def hide(self, lease: Lease, seconds: float) -> None:
        """Make the message visible after so many seconds.

        Sooner if SQS would refuse that (its limit is 12 hours), or delete the message meanwhile.
        """
        await lease.wait_extended()
        at = self._clock()
        if not lease.held(at):
            return
        hidden = min(seconds, lease.max_extension(at), self._longest_hide(lease.message))
        failed = await self._retry(lease, lambda handle: self._changes.submit((handle, hidden)))
        if failed is not None:
            self._observe(ReleaseFailed(lease.message.message_id, failed.sentence))

    async def release(self, leases: Sequence[Lease]) -> None:
        """Make messages visible now, in this order."""
        for lease in leases:
            await lease.wait_extended()
        pending = [lease for lease in leases if lease.held(self._clock())]
        attempt = 0
        while pending:
            changes = [(lease.handle, 0.0) for lease in pending]
            results = await self._change(changes)
            pending = [
                lease
                for lease, (handle, _), failed in zip(pending, changes, results, strict=True)
                if lease.handle != handle or (failed is not None and self._may_retry(lease, failed))
            ]
            if pending:
                await self._sleep(self._pause(attempt))
                attempt += 1

    async def aclose(self) -> None:
        """Stop all deletes and delayed visibility changes. `release` still works afterwards."""
        await self._deletes.aclose()
        await self._changes.aclose()

    def _may_retry(self, lease: Lease, failed: Failed) -> bool:
        if not failed.permanent and lease.held(self._clock()):
            return True
        self._observe(ReleaseFailed(lease.message.message_id, failed.sentence))
        return False

    async def _retry(
        self,
        lease: Lease,
        submit: Callable[[str], Awaitable[Failed | None]],
        begun: tuple[str, Failed | None] | None = None,
    ) -> Failed | None:
        """Retry until success, a permanent failure or the end of the lease. Returns the last."""
        attempt = 0
        while True:
            handle, failed = begun or (lease.handle, await submit(lease.handle))
            begun = None
            if lease.handle != handle:
                continue  # received again meanwhile: only the newest handle certainly works
            if failed is None or failed.permanent or not lease.held(self._clock()):
                return failed
            await self._sleep(self._pause(attempt))
            attempt += 1

    def _pause(self, attempt: int) -> float:
        longest = min(MAX_PAUSE, FIRST_PAUSE * 2.0 ** min(attempt, MAX_DOUBLINGS))
        return self._uniform(0.5, 1.0) * longest

    async def _delete(self, handles: Sequence[str]) -> Sequence[Failed | None]:
        return await self._results("delete", self._queue.delete(handles), len(handles))

    async def _change(self, changes: Sequence[tuple[str, float]]) -> Sequence[Failed | None]:
        change = self._queue.change_visibility(changes)
        return await self._results("change visibility", change, len(changes))

    async def _results(
        self, call: str, request: Awaitable[list[Failed | None]], count: int
    ) -> list[Failed | None]:
        try:
            results = await request
        except AwsError as error:
            self._health.failed(call, error)
            return [Failed(error.code, error.sentence)] * count
        self._health.succeeded(call)
        return results
