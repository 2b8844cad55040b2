"""The queue's own figures: asked for until SQS tells them, and its retention again now and then."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

from relay.aws.errors import QueueError
from relay.aws.sqs import Queue
from relay.aws.values import QueueAttributes
from relay.poller.way_in import WayIn
from relay.retention import Retention

READ_EVERY = 3_600.0
"""Seconds between readings of the retention, whose last tenth is as long for ten hours of it."""

_log = logging.getLogger(__name__)


async def attributes_of(queue: Queue, way_in: WayIn) -> QueueAttributes:
    """The queue's figures, asked for as often as the way in lets it until SQS tells them."""
    while True:
        await way_in.clear()
        try:
            attributes = await queue.attributes()
        except QueueError as error:
            way_in.failed("attributes", error)
        else:
            way_in.passed("attributes")
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
        except QueueError as error:
            _log.warning("the queue's retention is not read again: %s", error.sentence)
            continue
        if seconds != retention.seconds:
            _log.info("the queue now keeps messages for %g s", seconds)
        retention.seconds = seconds
