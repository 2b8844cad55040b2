"""Retention: how long a queue keeps messages, and for how long each of them may still be hidden.

SQS deletes a message at the end of its retention, hidden or not. So whatever hides a message takes
its limit from here, and how often the relay looks for messages that are about to be deleted follows
from the length of the last tenth, in which they can still be dead-lettered.
"""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections.abc import Awaitable, Callable

from relay.aws.errors import AwsError
from relay.aws.sqs import Queue
from relay.aws.sqs_values import QueueAttributes
from relay.model.message import Message

EXPIRING_SHARE = 0.9
"""The share of the queue's retention after which a message is dead-lettered instead of waiting."""

REFRESH_EVERY = 300.0
"""Seconds between reads of the retention. SQS takes up to 15 minutes to apply a new one."""

GRACE = 60.0
"""Most seconds for which a message that is expiring on arrival still gets an attempt."""

CHECK_EVERY = 30.0
"""Most seconds between checks of the messages in flight."""

SWEEP_EVERY = 3_600.0
"""Most seconds of an outage after which a message is received to see how old the waiting ones are.
"""

RATE = 100.0
"""Expiring messages that a relay receives and dead-letters in a second, at the least."""

SHORTEST = 1.0
"""Seconds: the shortest time for which SQS hides a message."""

_STEPS = 8
"""Parts of the last tenth. Grace and the time until the next check are one part each at most."""

_log = logging.getLogger(__name__)


def last_tenth(retention: float) -> float:
    """Seconds between the time when a message is expiring and the time when SQS deletes it."""
    return retention - EXPIRING_SHARE * retention


def retention_for(tenth: float) -> int:
    """The shortest retention whose last tenth has so many seconds."""
    return math.ceil(round(tenth / (1 - EXPIRING_SHARE), 3))


def longest_lease(retention: float) -> float:
    """Whole seconds for which one receive or extension may hide a message, whatever its age.

    Half of the last tenth: a message whose consumer was killed is visible again in time.
    """
    return max(2.0, float(round(last_tenth(retention) / 2)))


class Retention:
    """Knows which messages the queue is about to delete, and limits what hides a message.

    `seconds` is how long the queue keeps them, None if unknown. An operator may change it at any
    time; whoever reads it again calls `update`.

    Args:
        seconds: the retention.
        hidden: seconds for which a message that has to wait is hidden, where the relay cannot
            choose: sqsd's ErrorVisibilityTimeout.
        clock: seconds since the epoch.
    """

    def __init__(
        self,
        seconds: float | None = None,
        *,
        hidden: float = 0.0,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.seconds = seconds
        self._backlog = 0
        self._shortest = max(SHORTEST, hidden)
        self._clock = clock

    def update(self, attributes: QueueAttributes) -> None:
        """Take over the queue's current retention, and how many messages wait in it."""
        self.seconds = attributes.retention
        self._backlog = attributes.visible

    def expiring(self, message: Message) -> bool:
        """Whether the last tenth of its retention has begun; False if its age is unknown."""
        if self.seconds is None or message.sent_or_received_at is None:
            return False
        return self._clock() - message.sent_or_received_at >= EXPIRING_SHARE * self.seconds

    def must_end(self, message: Message) -> bool:
        """Whether a message that is given back now would stay hidden into the last tenth.

        Such a message is dead-lettered instead.
        """
        sent = message.sent_at
        if sent is None:
            sent = message.first_received_at
        if self.seconds is None or sent is None:
            return False
        return EXPIRING_SHARE * self.seconds - (self._clock() - sent) < self._shortest

    def longest_hide(self, message: Message) -> float:
        """The most seconds for which the message may be hidden: not into the last tenth.

        In the last tenth, for a message that could not be dead-lettered, a quarter of the time that
        it has left.
        """
        left = self._left(message)
        if left > 0:
            return left
        rest = left + last_tenth(self.seconds or 0.0)
        return max(SHORTEST, rest / 4)

    @property
    def grace(self) -> float:
        """Seconds for which a message that is expiring on arrival still gets an attempt."""
        return min(GRACE, self._step)

    @property
    def check_every(self) -> float:
        """Seconds between checks of the messages in flight."""
        return min(CHECK_EVERY, self._step)

    @property
    def longest_pause(self) -> float:
        """The most seconds without a receive for which the queue is not looked at on purpose."""
        return max(SHORTEST, self._step)

    @property
    def sweep_every(self) -> float:
        """Seconds of an outage after which a message is received to check its age.

        Early enough that those that wait behind it can be dead-lettered in the last tenth too.
        """
        if self.seconds is None:
            return SWEEP_EVERY
        tenth = last_tenth(self.seconds)
        in_time = max(tenth - self._backlog / RATE, tenth / 10) / 4
        return max(SHORTEST, min(SWEEP_EVERY, in_time))

    @property
    def _step(self) -> float:
        return math.inf if self.seconds is None else last_tenth(self.seconds) / _STEPS

    def _left(self, message: Message) -> float:
        """Seconds until the last tenth begins, negative within it; infinite if unknown."""
        if self.seconds is None or message.sent_or_received_at is None:
            return math.inf
        return EXPIRING_SHARE * self.seconds - (self._clock() - message.sent_or_received_at)


async def refresh_retention(
    retention: Retention,
    queue: Queue,
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
) -> None:
    """Read the retention again until cancelled. While it cannot be read, the last value counts."""
    while True:
        await sleep(REFRESH_EVERY)
        try:
            attributes = await queue.attributes()
        except AwsError as error:
            _log.warning("the queue's retention could not be read: %s", error.sentence)
            continue
        if attributes.retention != retention.seconds:
            _log.info("the queue's retention is now %g s", attributes.retention)
        retention.update(attributes)
