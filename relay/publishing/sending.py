"""Sends messages to SQS in batches over all concurrent calls, and returns each one's own result."""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence

from relay.aws.errors import AwsError
from relay.aws.publisher import SupportsSend
from relay.aws.sqs_values import BATCH_BYTES, BATCH_ENTRIES, Failed, Outgoing, Sent
from relay.forwarding.batcher import Batcher

AT_ONCE = 2
"""Requests under way below which a message does not wait for others."""

SLOW = 0.1
"""Seconds after which a request without an answer holds up no others any more."""

REQUESTS = 16
"""The most requests under way at once, if each is full. A FIFO queue has one, for the order."""

FIRST_PAUSE = 0.05
LONGEST_PAUSE = 1.0
"""Seconds between tries. Less than an SDK waits between its own."""


_NOT_SENT = Failed("NotSent", "it was not sent")


class BatchSender:
    """Sends messages that are submitted concurrently, and tries again until a deadline.

    A message whose answer was lost is sent again, and may be in the queue twice.

    Args:
        queue: where messages go.
        ordered: True for a FIFO queue.
        timeout: seconds from the first try of a request to the end of the last one.
        clock: monotonic seconds.
        sleep: waits on that clock.
        chance: jitter, 0 to 1.

    Attributes:
        problem: why the last request failed, a sentence; None after a success.
    """

    def __init__(
        self,
        queue: SupportsSend,
        *,
        ordered: bool = False,
        timeout: float = 5.0,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self._queue = queue
        self._timeout = timeout
        self._clock = clock
        self._sleep = sleep
        self._chance = chance
        self.problem: str | None = None
        self._slow = 0
        self._batcher: Batcher[Outgoing, Sent | Failed] = Batcher(
            self._send,
            max_items=self._capacity,
            max_size=BATCH_BYTES,
            size=lambda message: message.size,
            in_flight=1 if ordered else REQUESTS,
        )

    async def send(self, messages: Sequence[Outgoing]) -> list[Sent | Failed]:
        """The result of each message. Cancelling withdraws those that are not being sent.

        Raises:
            BatcherClosed: after `drain` or `aclose`.
        """
        if len(messages) == 1:
            return [await self._batcher.submit(messages[0])]
        return await asyncio.gather(*map(self._batcher.submit, messages))

    async def drain(self) -> None:
        """Return when everything submitted has its result. Nothing new is accepted."""
        await self._batcher.drain()

    async def aclose(self) -> None:
        """Cancel what is under way."""
        await self._batcher.aclose()

    def _capacity(self) -> int:
        """A request is sent at once while few are under way, and otherwise once it is full."""
        if self._batcher.running - self._slow < AT_ONCE or self._batcher.waiting >= BATCH_ENTRIES:
            return BATCH_ENTRIES
        return 0

    async def _send(self, batch: Sequence[Outgoing]) -> Sequence[Sent | Failed]:
        with self._not_held_up():
            return await self._send_all(batch)

    @contextlib.contextmanager
    def _not_held_up(self) -> Iterator[None]:
        """Let the messages that wait be sent if the block takes long."""
        is_slow = False

        def slow() -> None:
            nonlocal is_slow
            is_slow = True
            self._slow += 1
            self._batcher.wake()

        timer = asyncio.get_running_loop().call_later(SLOW, slow)
        try:
            yield
        finally:
            timer.cancel()
            self._slow -= is_slow

    async def _send_all(self, batch: Sequence[Outgoing]) -> Sequence[Sent | Failed]:
        """The results of a batch, of each message its last one."""
        results: list[Sent | Failed] = [_NOT_SENT] * len(batch)
        waiting = list(range(len(batch)))
        deadline, tries = self._clock() + self._timeout, 0
        while True:
            tries += 1
            hopeless = await self._try(batch, waiting, results, deadline)
            waiting = [at for at in waiting if _can_retry(results[at])]
            pause = self._chance() * min(LONGEST_PAUSE, FIRST_PAUSE * 2.0**tries)
            if not waiting or hopeless or self._clock() + pause >= deadline:
                return results
            await self._sleep(pause)

    async def _try(
        self,
        batch: Sequence[Outgoing],
        waiting: Sequence[int],
        results: list[Sent | Failed],
        deadline: float,
    ) -> bool:
        """Send what waits once, and store the results. Returns whether another try is pointless."""
        try:
            async with asyncio.timeout(max(0.0, deadline - self._clock())):
                answers = await self._queue.send([batch[at] for at in waiting])
        except TimeoutError:
            if all(results[at] is not _NOT_SENT for at in waiting):
                return True  # an earlier try's failure says more than that this one was cut short
            error = AwsError("NoAnswer", "connection", "SQS gave no answer in time")
        except AwsError as failed:
            if failed.kind == "other" and len(waiting) > 1:
                for at in waiting:  # for some faults of one message SQS refuses all
                    await self._try(batch, [at], results, deadline)
                return False
            error = failed
        else:
            for at, answer in zip(waiting, answers, strict=True):
                results[at] = answer
            failures = [one for one in answers if isinstance(one, Failed)]
            self.problem = failures[0].sentence if failures else None
            return False
        self.problem = error.sentence
        failure = Failed(error.code, error.sentence, sender_fault=error.kind == "other")
        results[:] = [failure if at in waiting else one for at, one in enumerate(results)]
        return not error.transient


def _can_retry(result: Sent | Failed) -> bool:
    return isinstance(result, Failed) and not result.permanent
