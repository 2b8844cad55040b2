"""The queue's attributes and retention, and receives for messages that are about to expire."""

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

REFRESH_EVERY = 3_600.0
"""Seconds between reads of the retention: a tenth of a retention of ten hours."""

SWEEP_EVERY = 3_600.0
"""Seconds of a closed gate after which one message is received to see how old the waiting ones are.
The last tenth of a queue's retention, in which a message can be saved, is many times as long."""

_log = logging.getLogger(__name__)


async def wait_for_attributes(queue: Queue, receive_health: ReceiveHealth) -> QueueAttributes:
    """The queue's attributes, requested until SQS answers. `receive_health` paces the requests."""
    while True:
        await receive_health.wait_clear()
        try:
            attributes = await queue.attributes()
        except AwsError as error:
            receive_health.failed("attributes", error)
        else:
            receive_health.succeeded("attributes")
            return attributes


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


class ExpiringSweep:
    """A gate that also opens, while the inner one is closed, for messages about to be deleted.

    Args:
        gate: the inner gate.
        expiring: whether the queue will soon delete a message.
    """

    def __init__(self, gate: Gate, expiring: Callable[[Message], bool]) -> None:
        self._gate = gate
        self._expiring = expiring
        self._sweeping = False

    @property
    def accepting(self) -> bool:
        """Whether another message may be received now."""
        return self._gate.accepting or self._sweeping

    async def wait_accepting(self) -> None:
        """Return when another message may be received, if only to check its age."""
        try:
            async with asyncio.timeout(SWEEP_EVERY):
                await self._gate.wait_accepting()
        except TimeoutError:
            self._sweeping = True

    def received(self, batch: Sequence[ReceivedMessage]) -> None:
        """Sweep on while the gate is closed and a received message is about to be deleted."""
        self._sweeping = not self._gate.accepting and any(
            self._expiring(received.message) for received in batch
        )
