"""Opens a publisher on a queue."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass

from relay.aws.errors import AwsError
from relay.aws.session import Session
from relay.aws.sqs import Queue, open_queue
from relay.aws.sqs_values import BATCH_BYTES
from relay.envelope.ids import compile_path
from relay.publishing.large_payloads import LargePayloads
from relay.publishing.packing import PACK_BYTES, Packer, group_by_path, no_group
from relay.publishing.publisher import EventPublisher
from relay.publishing.sending import BatchSender

ATTRIBUTES = 1_024
"""Bytes of a message that are left for its attributes: their names, types and values."""

SHARE_OF_TRIES = 0.9
"""Of the time of a call, for the tries of one request to AWS."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class PublisherOptions:
    """How events become messages.

    Attributes:
        group_path: JMESPath of an event's message group; None for no group.
        payload_bucket: the S3 bucket for events that are too large for the queue; None to refuse
            them.
        timeout: seconds in which SQS must have confirmed all events of a call.

    Raises:
        ValueError: the path is not a JMESPath.
    """

    group_path: str | None = None
    payload_bucket: str | None = None
    timeout: float = 5.0

    def __post_init__(self) -> None:
        """Refuse an invalid path at the start instead of ignoring it for each event."""
        if self.group_path is not None:
            compile_path(self.group_path)


@contextlib.asynccontextmanager
async def open_publisher(
    queue: str, options: PublisherOptions, session: Callable[[], Awaitable[Session]]
) -> AsyncIterator[EventPublisher]:
    """A publisher for as long as the block runs. At its end it waits for the calls under way.

    Raises:
        AwsError: the queue does not exist or may not be used.
    """
    async with open_queue(await session(), queue) as opened:
        largest = await _max_message_bytes(opened)
        group = group_by_path(options.group_path) if options.group_path else no_group
        # Ends before the call does, so that its caller learns why.
        tries = options.timeout * SHARE_OF_TRIES
        sender = BatchSender(opened, ordered=opened.fifo, timeout=tries)
        bucket = options.payload_bucket
        publisher = EventPublisher(
            sender,
            Packer(group, fifo=opened.fifo, max_bytes=min(PACK_BYTES, largest - ATTRIBUTES)),
            payloads=LargePayloads(session, bucket, timeout=tries) if bucket else None,
            max_message_bytes=largest,
            timeout=options.timeout,
        )
        try:
            yield publisher
            await publisher.drain()
        finally:
            await publisher.aclose()


async def _max_message_bytes(queue: Queue) -> int:
    """The queue's limit; a producer that may only send gets the largest that SQS has."""
    try:
        return (await queue.attributes()).maximum_size
    except AwsError as error:
        if error.kind != "denied":
            raise
        _log.warning(
            "the queue's MaximumMessageSize is taken for %d bytes: %s", BATCH_BYTES, error.sentence
        )
        return BATCH_BYTES
