"""The publisher: sends many messages to one queue, in concurrent batches, with retries."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol

from relay.aws.errors import AwsError
from relay.aws.sqs_values import Failed, Outgoing, Sent, batches_by_size

ATTEMPTS = 6
FIRST_PAUSE = 0.2
LONGEST_PAUSE = 3.0

_UNSENT = {
    "NotConnected",
    "EndpointConnectionError",
    "ConnectTimeoutError",
    "ProxyFailed",
    "UnknownName",
}
"""Codes of `connection` errors in which no byte of the request was sent."""


class SupportsSend(Protocol):
    """The part of a queue that the publisher needs."""

    async def send(self, entries: Sequence[Outgoing]) -> list[Sent | Failed]:
        """Send all. The results are in the order of the entries. Raises `AwsError`."""
        ...


class Publisher:
    """Sends messages to a queue, and retries until each has its result.

    `possible_duplicates` counts messages that were sent again because the answer was lost. Such a
    message may be in the queue twice, unless the queue is a FIFO queue, which recognises its
    deduplication id. `stopped` is the error after which nothing more is sent, or None. Messages
    that were not sent because of it have a `Failed` with its code.
    """

    def __init__(
        self,
        queue: SupportsSend,
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
        """Send all messages. The results are in their order.

        All batches are sent concurrently, so the caller must limit the number of messages. If
        `ordered`, they are sent one after the other, and nothing is sent after a message that
        failed for good; within one batch SQS may still accept a later message and refuse an
        earlier one.
        """
        batches = list(batches_by_size(messages))
        if not self._ordered:
            sent = await asyncio.gather(*map(self._send_batch, batches))
            return [result for results in sent for result in results]
        results: list[Sent | Failed] = []
        for batch in batches:
            results += await self._send_batch(batch)
            failed = next((r for r in results if isinstance(r, Failed)), None)
            if failed is not None and self.stopped is None:
                self.stopped = AwsError(
                    failed.code,
                    "other",
                    "stopped, so that no message overtakes the one that failed",
                )
        return results

    async def _send_batch(self, batch: Sequence[Outgoing]) -> list[Sent | Failed]:
        """Send one batch, with retries."""
        results: list[Sent | Failed] = [Failed("NotSent", "it was not sent")] * len(batch)
        waiting = list(range(len(batch)))
        unknown = set[int]()
        for attempt in range(1, ATTEMPTS + 1):
            sending = [batch[i] for i in waiting]
            answers = await self._attempt(sending, unknown, last=attempt == ATTEMPTS)
            for index, answer in zip(waiting, answers, strict=True):
                results[index] = answer
            waiting = [i for i in waiting if _can_retry(results[i])]
            if not waiting or self.stopped or attempt == ATTEMPTS:
                break
            await self._sleep(self._chance() * min(LONGEST_PAUSE, FIRST_PAUSE * 2.0**attempt))
        self.possible_duplicates += len(unknown)
        return results

    async def _attempt(
        self, batch: Sequence[Outgoing], unknown: set[int], *, last: bool
    ) -> Sequence[Sent | Failed]:
        """Send once. Adds to `unknown` the messages that may have arrived without an answer."""
        if self.stopped:
            return [_failed(self.stopped)] * len(batch)
        try:
            return await self._queue.send(batch)
        except AwsError as error:
            if error.kind == "other":
                return await self._one_by_one(batch, error, unknown, last=last)
            if last or not error.transient:
                self.stopped = error
            elif error.kind == "connection" and error.code not in _UNSENT and not self._ordered:
                unknown.update(map(id, batch))
            return [_failed(error)] * len(batch)

    async def _one_by_one(
        self, batch: Sequence[Outgoing], error: AwsError, unknown: set[int], *, last: bool
    ) -> list[Sent | Failed]:
        """Send each alone: for some faults of one message SQS refuses the whole batch."""
        if len(batch) == 1:
            return [Failed(error.code, error.sentence, sender_fault=True)]
        results: list[Sent | Failed] = []
        for message in batch:
            results += await self._attempt([message], unknown, last=last)
        return results


def _failed(error: AwsError) -> Failed:
    return Failed(error.code, error.sentence)


def _can_retry(result: Sent | Failed) -> bool:
    return isinstance(result, Failed) and not result.sender_fault
