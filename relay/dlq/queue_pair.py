"""Finds the dead-letter queue that an operation works on, and the main queue if one is named."""

from __future__ import annotations

import contextlib
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass

from relay.aws.session import Session, open_session
from relay.aws.sqs import Queue, open_queue
from relay.aws.sqs_values import QueueAttributes
from relay.dlq.snapshot import Head


class NoQueue(Exception):
    """No dead-letter queue is named, or a wrong one. The text is a sentence.

    `usage` says whether the options or settings are wrong, and not the queue.
    """

    def __init__(self, sentence: str, *, usage: bool = True) -> None:
        super().__init__(sentence)
        self.usage = usage


@dataclass(frozen=True, slots=True)
class QueuePair:
    """The dead-letter queue that an operation works on, and the main queue if one is named."""

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
async def open_queue_pair(
    *,
    dlq: str | None,
    main: str | None,
    configured_dlq: str | None,
    configured_main: str | None,
    warn: Callable[[str], None],
) -> AsyncIterator[QueuePair]:
    """The queues, for as long as the block runs.

    What is named takes precedence over what is configured, and both over the redrive policy.

    Args:
        dlq: the dead-letter queue: URL, ARN or name.
        main: the main queue.
        configured_dlq: the same where neither is named.
        configured_main: the same where the main queue is not named.
        warn: called with a sentence if the dead-letter queue may be the wrong one.

    Raises:
        NoQueue: no queue is named, or a wrong one.
        AwsError: a queue cannot be opened.
    """
    source = main or configured_main
    named = dlq or (configured_dlq if main is None else None)
    if named is None and source is None:
        raise NoQueue("no queue is named: use --dlq or --queue, or set RELAY_QUEUE_URL")
    async with contextlib.AsyncExitStack() as stack:
        session = await stack.enter_async_context(open_session())
        first = None
        if source is not None:
            first = await stack.enter_async_context(open_queue(session, source))
        reference = named or await _policy_target(first)
        dead = await stack.enter_async_context(open_queue(session, reference))
        attributes = await dead.attributes()
        _check(first, dead, attributes, warn)
        if first is not None and dlq is not None and main is None:
            # A queue that is only configured may have nothing to do with this one.
            first = first if await feeds(first, dead) else None
        yield QueuePair(session, dead, attributes, first)


async def feeds(source: Queue, dead: Queue) -> bool:
    """Whether the source's redrive policy names the dead-letter queue."""
    policy = (await source.attributes()).redrive
    return policy is not None and policy.target_arn == dead.arn


def _check(
    first: Queue | None, dead: Queue, attributes: QueueAttributes, warn: Callable[[str], None]
) -> None:
    """Refuse the main queue itself: its messages are not dead, and receives count."""
    if first is not None and first.arn == dead.arn:
        raise NoQueue(f"{dead.name} is the main queue itself: name its dead-letter queue")
    if attributes.redrive is not None:
        target = attributes.redrive.target_arn.rpartition(":")[2]
        warn(
            f"{dead.name} has a dead-letter queue of its own, {target}: is it the right one? What"
            " is received from it here is hidden from others, and its receives are counted"
        )


async def _policy_target(queue: Queue | None) -> str:
    policy = (await queue.attributes()).redrive if queue else None
    if queue is None or policy is None:
        name = queue.name if queue else "it"
        sentence = f"the queue {name} has no redrive policy: name its dead-letter queue with --dlq"
        raise NoQueue(sentence, usage=False)
    return policy.target_arn
