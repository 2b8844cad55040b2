"""The queue's own figures: asked for until SQS tells them, and its retention again now and then."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence

from relay.aws.errors import AwsError
from relay.aws.sqs import Queue
from relay.aws.sqs_values import QueueAttributes, ReceivedMessage
from relay.delivery.retention import Retention
from relay.model.message import Message
from relay.sources.poller.receive_health import ReceiveHealth
from relay.sources.poller.receiver import Gate

READ_EVERY = 3_600.0
"""Seconds between readings of the retention, whose last tenth is as long for ten hours of it."""

_log = logging.getLogger(__name__)


async def attributes_of(queue: Queue, receive_health: ReceiveHealth) -> QueueAttributes:
    """The queue's figures, asked for as often as the way in lets it until SQS tells them."""
    while True:
        await receive_health.clear()
        try:
            attributes = await queue.attributes()
        except AwsError as error:
            receive_health.failed("attributes", error)
        else:
            receive_health.passed("attributes")
            return attributes


async def follow(
    retention: Retention,
    queue: Queue,
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
) -> None:
    """Read the retention again for ever. While it cannot be read, the last one counts."""
    while True:
        await sleep(READ_EVERY)
        try:
            seconds = (await queue.attributes()).retention
        except AwsError as error:
            _log.warning("the queue's retention is not read again: %s", error.sentence)
            continue
        if seconds != retention.seconds:
            _log.info("the queue now keeps messages for %g s", seconds)
        retention.seconds = seconds


LOOK_EVERY = 3_600.0
"""Seconds after which one message is taken to see how old the waiting ones are. The last tenth of
a queue's retention, in which a message can be saved, is many times as long."""


class LastCall:
    """A way that also accepts while what comes is about to be deleted.

    Args:
        way: the way on.
        expiring: whether the queue will soon delete a message.
    """

    def __init__(self, gate: Gate, expiring: Callable[[Message], bool]) -> None:
        self._way = gate
        self._expiring = expiring
        self._late = False

    @property
    def accepting(self) -> bool:
        """Whether another message is welcome now."""
        return self._way.accepting or self._late

    async def wait_accepting(self) -> None:
        """Return when another message is welcome, be it to look at."""
        try:
            async with asyncio.timeout(LOOK_EVERY):
                await self._way.wait_accepting()
        except TimeoutError:
            self._late = True

    def came(self, batch: Sequence[ReceivedMessage]) -> None:
        """A receive has brought these."""
        self._late = not self._way.accepting and any(
            self._expiring(received.message) for received in batch
        )
