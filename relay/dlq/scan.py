"""One pass over a queue: receives until there is surely nothing more to receive."""

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
"""Long polls in a row that must bring nothing new before the counters are believed."""

PATIENCE = 6
"""The same where the counters say that there is more: it is locked in groups or in other hands."""

SETTLING = 30.0
"""Seconds of polls that bring nothing before the counters are believed against what was received
and deleted lately. SQS says that they are right within a minute, and most of the time they are at
once."""

WIDTH = 4
"""Most receives at a time; one while they bring nothing."""

FULL = "SQS lends no more messages at a time than are in our hands"

ATTEMPTS = 6
FIRST_PAUSE = 0.2


@dataclass(frozen=True, slots=True)
class Reach:
    """How far a pass came. `left` counts what the queue holds besides, `why` says why."""

    complete: bool = False
    left: int = 0
    why: str = "the pass was stopped"


class Scan:
    """A pass. An empty answer does not mean an empty queue, and the counters are approximate.

    Args:
        queue: what to go through.
        lease: seconds for which each message is hidden.
        wait: seconds that each poll waits; 0 asks only some of SQS's servers.
        ours: how many messages of the queue are in our hands now.
        stop: asked before each receive; true ends the pass.
        deleted: how many we have deleted, of which the counters may not know yet.
        clock: what leases are counted by.
        sleep: waits between tries of a receive that failed.
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
        self._ours = held_count
        self._stop = stop
        self._deleted = deleted
        self._clock = clock
        self._sleep = sleep
        self._seen: set[bytes] = set()
        self._full = False
        self.reach = Reach()

    def seen(self, message_id: str) -> bool:
        """Whether this pass has met the message; meeting it counts."""
        key = _short(message_id)
        known = key in self._seen
        self._seen.add(key)
        return known

    def met(self, message_id: str) -> bool:
        """Whether this pass has met the message so far."""
        return _short(message_id) in self._seen

    async def __aiter__(self) -> AsyncIterator[list[tuple[Leased, bool]]]:
        """What some receives at a time brought: messages, and whether each was met before.

        Raises:
            AwsError: the queue cannot be received from.
        """
        quiet, width = 0, 1
        while not self._stop() and not self._full:
            receives = (self._receive() for _ in range(width))
            rounds = await asyncio.gather(*receives, return_exceptions=True)
            failed = [one for one in rounds if isinstance(one, BaseException)]
            found = [item for one in rounds if not isinstance(one, BaseException) for item in one]
            batch = [(item, self.seen(item.message.message_id)) for item in found]
            if batch:
                yield batch
            if failed:
                raise failed[0]  # only now: what the others brought is in somebody's hands
            quiet = 0 if any(not again for _, again in batch) else quiet + 1
            # A FIFO queue hands out a group to one receive at a time.
            width = 1 if quiet or self._queue.fifo else min(WIDTH, width + 1)
            if quiet >= QUIET and await self._ended(quiet):
                return
        if self._full:
            await self._ended(PATIENCE)
            self.reach = replace(self.reach, complete=False, why=FULL)

    async def _ended(self, quiet: int) -> bool:
        held_count = self._ours()
        counts = await self._queue.attributes()
        # A delete that was under way meanwhile was counted or not.
        others = max(0, counts.in_flight - max(held_count, self._ours()))
        waiting = counts.visible + counts.delayed
        if quiet < self._patience(waiting, others):
            return False
        left = waiting + others
        self.reach = Reach(not left, left, _why(waiting, others, fifo=self._queue.fifo))
        return True

    def _patience(self, waiting: int, others: int) -> int:
        """How many polls that bring nothing make these counts worth believing."""
        late = waiting <= len(self._seen) and others <= self._deleted()
        if not (waiting or others):
            return QUIET
        if late and not self._queue.fifo:
            return max(PATIENCE, math.ceil(SETTLING / max(self._wait, 1.0)))
        return PATIENCE if waiting else QUIET

    async def _receive(self) -> list[Leased]:
        for attempt in range(1, ATTEMPTS + 1):
            taken_at = self._clock()
            try:
                found = await self._queue.receive(wait=self._wait, visibility=self._lease)
            except AwsError as error:
                if error.code == "OverLimit":
                    self._full = True
                    return []
                if not error.transient or attempt == ATTEMPTS:
                    raise
                await self._sleep(FIRST_PAUSE * 2.0**attempt)
            else:
                return [self._leased(received, taken_at) for received in found]
        raise AssertionError  # the last attempt raises

    def _leased(self, received: ReceivedMessage, taken_at: float) -> Leased:
        return Leased(received.message, received.handle, taken_at, taken_at + int(self._lease))


def _short(message_id: str) -> bytes:
    return hashlib.blake2b(message_id.encode(), digest_size=12).digest()


def _why(waiting: int, others: int, *, fifo: bool) -> str:
    if waiting and fifo:
        return "SQS shows no more of a FIFO group than the first messages that are in our hands"
    if waiting:
        return "SQS counts messages that it did not hand out; its counters may be a minute late"
    if others:
        return "they are hidden: in other hands, or left by a run that was killed"
    return ""
