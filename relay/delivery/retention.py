"""Retention: how long a queue keeps messages, and which of them it will soon delete."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable

from relay.aws.errors import AwsError
from relay.aws.sqs import Queue
from relay.model.message import Message

EXPIRING_SHARE = 0.9
"""The share of the queue's retention after which a message is dead-lettered instead of waiting."""

REFRESH_EVERY = 3_600.0
"""Seconds between reads of the retention: a tenth of a retention of ten hours."""

_log = logging.getLogger(__name__)


class Retention:
    """Knows which messages the queue is about to delete.

    `seconds` is how long it keeps them, None if unknown. An operator may change it at any time;
    whoever reads it again sets it here.
    """

    def __init__(
        self, seconds: float | None = None, *, clock: Callable[[], float] = time.time
    ) -> None:
        self.seconds = seconds
        self._clock = clock

    def expiring(self, message: Message) -> bool:
        """Whether the last tenth of its retention has begun; False if its age is unknown."""
        if self.seconds is None or message.sent_or_received_at is None:
            return False
        return self._clock() - message.sent_or_received_at >= EXPIRING_SHARE * self.seconds


async def refresh_retention(
    retention: Retention,
    queue: Queue,
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
) -> None:
    """Read the retention again until cancelled. While it cannot be read, the last value counts."""
    while True:
        await sleep(REFRESH_EVERY)
        try:
            seconds = (await queue.attributes()).retention
        except AwsError as error:
            _log.warning("the queue's retention could not be read: %s", error.sentence)
            continue
        if seconds != retention.seconds:
            _log.info("the queue's retention is now %g s", seconds)
        retention.seconds = seconds
