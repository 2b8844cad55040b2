"""Sends many messages to one queue: concurrent batches, and what SQS refuses for now again."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol

from relay.aws.errors import AwsError
from relay.aws.sqs_values import Failed, Outgoing, Sent, by_size

ATTEMPTS = 6
FIRST_PAUSE = 0.2
LONGEST_PAUSE = 3.0

# Errors of kind "connection" in which no byte of the request was sent.
_UNSENT = {"NotConnected", "EndpointConnectionError", "ConnectTimeoutError"}


class Sends(Protocol):
    """The part of a queue that is needed here."""

    async def send(self, entries: Sequence[Outgoing]) -> list[Sent | Failed]:
        """Send all, in order; the results have the same order. Raises `AwsError`."""
        ...


class Publisher:
    """Sends messages to a queue until each has its result.

    `doubtful` counts messages whose answer was lost and that were sent again: one may be in the
    queue twice, unless it is a FIFO queue, which knows it again by its deduplication id.
    `stopped` is the error after which nothing more can be sent, or None; what was not sent because
    of it has a `Failed` with its code.
    """

    def __init__(
        self,
        queue: Sends,
        *,
        ordered: bool = False,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self._queue = queue
        self._ordered = ordered
        self._sleep = sleep
        self._chance = chance
        self.possible_duplicates = 0
        self.stopped: AwsError | None = None

    async def publish(self, messages: Sequence[Outgoing]) -> list[Sent | Failed]:
        """Send all and return their results in their order.

        All batches go out at once, so the caller bounds what it gives. Where order counts they go
        one after the other, and nothing is sent after a message that failed for good; within one
        batch SQS itself may take a later message and refuse an earlier one.
        """
        batches = list(by_size(messages))
        if not self._ordered:
            sent = await asyncio.gather(*map(self._settle, batches))
            return [result for results in sent for result in results]
        results: list[Sent | Failed] = []
        for batch in batches:
            results += await self._settle(batch)
            failed = next((r for r in results if isinstance(r, Failed)), None)
            if failed is not None and self.stopped is None:
                self.stopped = AwsError(
                    failed.code, "other", "stopped so that no message overtakes the one that failed"
                )
        return results

    async def _settle(self, batch: Sequence[Outgoing]) -> list[Sent | Failed]:
        """One batch, as often as it takes."""
        results: list[Sent | Failed] = [Failed("NotSent", "it was not sent")] * len(batch)
        waiting = list(range(len(batch)))
        doubted = set[int]()
        for attempt in range(1, ATTEMPTS + 1):
            sending = [batch[i] for i in waiting]
            answers = await self._attempt(sending, doubted, last=attempt == ATTEMPTS)
            for index, answer in zip(waiting, answers, strict=True):
                results[index] = answer
            waiting = [i for i in waiting if _again(results[i])]
            if not waiting or self.stopped or attempt == ATTEMPTS:
                break
            await self._sleep(self._chance() * min(LONGEST_PAUSE, FIRST_PAUSE * 2.0**attempt))
        self.possible_duplicates += len(doubted)
        return results

    async def _attempt(
        self, batch: Sequence[Outgoing], doubted: set[int], *, last: bool
    ) -> Sequence[Sent | Failed]:
        """One try. What may have arrived without an answer is added to `doubted`, once."""
        if self.stopped:
            return [_failed(self.stopped)] * len(batch)
        try:
            return await self._queue.send(batch)
        except AwsError as error:
            if error.kind == "other":
                return await self._one_by_one(batch, error, doubted, last=last)
            if last or not error.transient:
                self.stopped = error
            elif error.kind == "connection" and error.code not in _UNSENT and not self._ordered:
                doubted.update(map(id, batch))
            return [_failed(error)] * len(batch)

    async def _one_by_one(
        self, batch: Sequence[Outgoing], error: AwsError, doubted: set[int], *, last: bool
    ) -> list[Sent | Failed]:
        """SQS refuses some faults of one message for its whole batch: find out which it is."""
        if len(batch) == 1:
            return [Failed(error.code, error.sentence, sender_fault=True)]
        results: list[Sent | Failed] = []
        for message in batch:
            results += await self._attempt([message], doubted, last=last)
        return results


def _failed(error: AwsError) -> Failed:
    return Failed(error.code, error.sentence)


def _again(result: Sent | Failed) -> bool:
    return isinstance(result, Failed) and not result.sender_fault
