"""A scan: one pass over a queue that receives until there is certainly nothing more to receive."""

from __future__ import annotations

import asyncio
import hashlib
import math
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, replace

from relay.aws.errors import AwsError
from relay.aws.sqs import Queue
from relay.aws.sqs_values import ReceivedMessage
from relay.dlq.leases import Leased
from relay.sources.poller.lease import now

QUIET = 3
"""Consecutive long polls without new messages before the queue's counters are trusted."""

PATIENCE = 6
"""The same if the counters say that there is more: in blocked groups, or in flight elsewhere."""

SETTLING = 30.0
"""Seconds of polls without new messages before the counters are trusted against what was received
and deleted lately. SQS documents that they are right within a minute; mostly they are at once."""

WIDTH = 4
"""Most concurrent receives; one while they return nothing."""

AT_LIMIT = "SQS's limit of messages in flight is reached"

ATTEMPTS = 6
FIRST_PAUSE = 0.2


@dataclass(frozen=True, slots=True)
class Coverage:
    """How much of the queue a scan received.

    `left` counts the messages that it did not receive, and `why` says why.
    """

    complete: bool = False
    left: int = 0
    why: str = "the scan was stopped"


class Scan:
    """A pass. An empty receive does not mean an empty queue, and the counters are approximate.

    Args:
        queue: what to receive from.
        lease: seconds for which each message is hidden.
        wait: seconds that each poll waits; 0 queries only some of SQS's servers.
        held_count: how many messages of the queue we have in flight now.
        stop: checked before each receive; true ends the pass.
        deleted: how many we have deleted, which the counters may not reflect yet.
        clock: what leases are measured by.
        sleep: waits between attempts of a receive that failed.
    """

    def __init__(
        self,
        queue: Queue,
        *,
        lease: float,
        wait: float,
        held_count: Callable[[], int],
        stop: Callable[[], bool],
        deleted: Callable[[], int] = lambda: 0,
        clock: Callable[[], float] = now,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._queue = queue
        self._lease = lease
        self._wait = wait
        self._held_count = held_count
        self._stop = stop
        self._deleted = deleted
        self._clock = clock
        self._sleep = sleep
        self._received: set[bytes] = set()
        self._at_limit = False
        self.coverage = Coverage()

    def has_received(self, message_id: str) -> bool:
        """Whether this pass has received the message so far."""
        return _short(message_id) in self._received

    async def __aiter__(self) -> AsyncIterator[list[tuple[Leased, bool]]]:
        """Batches from one or several receives: messages, and whether each was received before.

        Raises:
            AwsError: the queue cannot be received from.
        """
        quiet, width = 0, 1
        while not self._stop() and not self._at_limit:
            receives = (self._receive() for _ in range(width))
            results = await asyncio.gather(*receives, return_exceptions=True)
            failed = [one for one in results if isinstance(one, BaseException)]
            found = [item for one in results if not isinstance(one, BaseException) for item in one]
            batch = [(item, self._received_again(item.message.message_id)) for item in found]
            if batch:
                yield batch
            if failed:
                raise failed[0]  # only now: the caller has what the other receives returned
            quiet = 0 if any(not again for _, again in batch) else quiet + 1
            # A FIFO queue hands out a group to one receive at a time.
            width = 1 if quiet or self._queue.fifo else min(WIDTH, width + 1)
            if quiet >= QUIET and await self._ended(quiet):
                return
        if self._at_limit:
            await self._ended(PATIENCE)
            self.coverage = replace(self.coverage, complete=False, why=AT_LIMIT)

    def _received_again(self, message_id: str) -> bool:
        key = _short(message_id)
        again = key in self._received
        self._received.add(key)
        return again

    async def _ended(self, quiet: int) -> bool:
        before = self._held_count()
        counts = await self._queue.attributes()
        # A delete that was under way meanwhile may or may not be counted.
        others = max(0, counts.in_flight - max(before, self._held_count()))
        waiting = counts.visible + counts.delayed
        if quiet < self._patience(waiting, others):
            return False
        left = waiting + others
        self.coverage = Coverage(not left, left, _why(waiting, others, fifo=self._queue.fifo))
        return True

    def _patience(self, waiting: int, others: int) -> int:
        """How many polls without new messages are needed before these counts are trusted."""
        may_be_stale = waiting <= len(self._received) and others <= self._deleted()
        if not (waiting or others):
            return QUIET
        if may_be_stale and not self._queue.fifo:
            return max(PATIENCE, math.ceil(SETTLING / max(self._wait, 1.0)))
        return PATIENCE if waiting else QUIET

    async def _receive(self) -> list[Leased]:
        for attempt in range(1, ATTEMPTS + 1):
            received_at = self._clock()
            try:
                found = await self._queue.receive(wait=self._wait, visibility=self._lease)
            except AwsError as error:
                if error.code == "OverLimit":
                    self._at_limit = True
                    return []
                if not error.transient or attempt == ATTEMPTS:
                    raise
                await self._sleep(FIRST_PAUSE * 2.0**attempt)
            else:
                return [self._leased(received, received_at) for received in found]
        raise AssertionError  # the last attempt raises

    def _leased(self, received: ReceivedMessage, received_at: float) -> Leased:
        deadline = received_at + int(self._lease)
        return Leased(received.message, received.handle, received_at, deadline)


def _short(message_id: str) -> bytes:
    return hashlib.blake2b(message_id.encode(), digest_size=12).digest()


def _why(waiting: int, others: int, *, fifo: bool) -> str:
    if waiting and fifo:
        return "SQS hands out only the first messages of a FIFO group while they are in flight"
    if waiting:
        return "SQS counts messages that it did not hand out; its counters may be a minute late"
    if others:
        return "they are in flight: received by somebody else, or by a run that was killed"
    return ""
