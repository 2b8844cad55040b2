"""Finds the dead-letter queue, and the main queue if one is named."""

from __future__ import annotations

import contextlib
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass

from relay.aws.errors import AwsError
from relay.aws.session import Session, open_session
from relay.aws.sqs import Queue, open_queue
from relay.aws.sqs_values import QueueAttributes
from relay.cli.startup import USAGE, fail
from relay.dlq.snapshot import Head
from relay.output.terminal import echo
from relay.settings.model import Settings


@dataclass(frozen=True, slots=True)
class QueuePair:
    """The dead-letter queue that a command works on, and the main queue if one is named."""

    session: Session
    dead: Queue
    attributes: QueueAttributes
    main: Queue | None

    @property
    def head(self) -> Head:
        """The head of a snapshot of it taken now."""
        return Head(
            queue=self.dead.name,
            arn=self.dead.arn,
            taken_at=time.time(),
            retention=self.attributes.retention,
            fifo=self.dead.fifo,
            main=self.main.name if self.main else None,
        )

    @property
    def count(self) -> int:
        """About how many messages it has, those in flight included."""
        counts = self.attributes
        return counts.visible + counts.in_flight + counts.delayed


@contextlib.asynccontextmanager
async def open_queues(
    settings: Settings, dlq: str | None, main: str | None
) -> AsyncIterator[QueuePair]:
    """The queues, for as long as the block runs. A request that AWS refuses ends the command.

    Options take precedence over the settings, and both over the redrive policy.
    """
    source = main or settings.queue_url
    named = dlq or (settings.dlq_url if main is None else None)
    if named is None and source is None:
        fail("no queue is named: use --dlq or --queue, or set RELAY_QUEUE_URL", code=USAGE)
    try:
        async with contextlib.AsyncExitStack() as stack:
            session = await stack.enter_async_context(open_session())
            first = None
            if source is not None:
                first = await stack.enter_async_context(open_queue(session, source))
            reference = named or await _policy_target(first)
            dead = await stack.enter_async_context(open_queue(session, reference))
            attributes = await dead.attributes()
            _check(first, dead, attributes)
            if first is not None and dlq is not None and main is None:
                # A queue that only the settings name may have nothing to do with this one.
                first = first if await feeds(first, dead) else None
            yield QueuePair(session, dead, attributes, first)
    except AwsError as error:
        fail(error.sentence)


async def feeds(source: Queue, dead: Queue) -> bool:
    """Whether the source's redrive policy names the dead-letter queue."""
    policy = (await source.attributes()).redrive
    return policy is not None and policy.target_arn == dead.arn


def _check(first: Queue | None, dead: Queue, attributes: QueueAttributes) -> None:
    """End the command on the main queue itself: its messages are not dead, and receives count."""
    if first is not None and first.arn == dead.arn:
        fail(f"{dead.name} is the main queue itself: name its dead-letter queue", code=USAGE)
    if attributes.redrive is not None:
        target = attributes.redrive.target_arn.rpartition(":")[2]
        echo(
            f"relay: {dead.name} has a dead-letter queue of its own, {target}: is it the right one?"
            " What is received from it here is hidden from others, and its receives are counted",
            err=True,
        )


async def _policy_target(queue: Queue | None) -> str:
    policy = (await queue.attributes()).redrive if queue else None
    if queue is None or policy is None:
        name = queue.name if queue else "it"
        fail(f"the queue {name} has no redrive policy: name its dead-letter queue with --dlq")
    return policy.target_arn
