"""The dead-letter queue in SQS, opened at its first use so that the start does not wait for it."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack

from relay.aws.errors import AwsError, kind_of
from relay.aws.session import Session
from relay.aws.sqs import Queue, open_queue
from relay.aws.sqs_values import Failed, Outgoing, Sent
from relay.delivery.dead_letter_copy import DeadLetterCopy, NotStored
from relay.forwarding.batcher import Batcher

MAX_ENTRIES = 10
"""Amazon SQS quota: entries in a batch."""

LIMIT_FOR = 60.0
"""Seconds for which the queue's MaximumMessageSize is not read again. An operator may change it at
any time, and it is read only when there is something to dead-letter."""

_TOO_LONG = frozenset({"BatchRequestTooLong", "InvalidParameterValue", "InvalidMessageContents"})
"""Codes with which SQS may refuse a whole batch because of one of its entries."""

_TRANSIENT = frozenset({"throttled", "connection", "expired-credentials", "other"})


class SqsDeadLetterStore:
    """Stores copies in the queue of the settings, or else of the main queue's redrive policy.

    Args:
        session: returns the AWS session; called when the first copy is stored.
        resources: closes what is opened here, when the caller closes it.
        queue: the main queue by URL, ARN or name, for its redrive policy and because it must be
            another queue.
        dead_letter_queue: the dead-letter queue by URL, ARN or name; the policy is not read then.
        clock: monotonic seconds.
    """

    def __init__(
        self,
        session: Callable[[], Awaitable[Session]],
        resources: AsyncExitStack,
        *,
        queue: str | None,
        dead_letter_queue: str | None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._session = session
        self._resources = resources
        self._references = (queue, dead_letter_queue)
        self._opened: Queue | None = None
        self._main_arn: str | None = None
        self._clock = clock
        self._limit = 0
        self._limit_at = -LIMIT_FOR
        self._opening = asyncio.Lock()
        self._batcher: Batcher[Outgoing, Sent | Failed] = Batcher(
            self._send, max_items=MAX_ENTRIES, max_size=1_048_576, size=lambda entry: entry.size
        )

    async def limit(self) -> int:
        """The queue's MaximumMessageSize; queues created before August 2025 keep 256 KiB.

        It is read again after `LIMIT_FOR` seconds, and after a copy was refused. If that fails, the
        last value counts.
        """
        queue = await self._queue()
        if self._clock() - self._limit_at >= LIMIT_FOR:
            async with self._opening:
                await self._refresh_limit(queue)
        return self._limit

    async def _refresh_limit(self, queue: Queue) -> None:
        now = self._clock()
        if now - self._limit_at < LIMIT_FOR:
            return  # another caller has read it meanwhile
        self._limit_at = now
        with contextlib.suppress(AwsError):
            self._limit = (await queue.attributes()).maximum_size

    async def put(self, copy: DeadLetterCopy) -> None:
        """Send the copy, in a batch with others that wait."""
        queue = await self._queue()
        if self._is_source(queue, copy):
            raise NotStored(
                f"RELAY_DLQ_URL is {queue.name}, the queue that the message came from, where it"
                " would be received again and again: set it to a queue of its own for dead letters",
                setting="RELAY_DLQ_URL",
            )
        try:
            result = await self._batcher.submit(_entry(copy, fifo=queue.fifo))
        except AwsError as error:
            if error.kind == "missing" and self._opened is queue:
                self._opened = None  # the redrive policy may name another one by now
            raise _refused(error) from error
        if isinstance(result, Failed):
            if result.permanent:
                self._limit_at = -LIMIT_FOR  # it may have been lowered
            raise _not_stored(
                result.code, kind_of(result.code), result.sentence, refused=result.permanent
            )

    def _is_source(self, queue: Queue, copy: DeadLetterCopy) -> bool:
        """Whether the copy would go to the queue that the message came from.

        In push mode sqsd may be the only one who knows that queue, and tells its name.
        """
        if queue.arn == self._main_arn:
            return True
        known = self._main_arn is not None and self._main_arn.endswith(f":{copy.source}")
        return copy.source == queue.name and not known

    async def _send(self, entries: Sequence[Outgoing]) -> list[Sent | Failed]:
        """Send a batch. If SQS refuses it as a whole, its entries are sent one by one."""
        try:
            return await (await self._queue()).send(entries)
        except AwsError as error:
            if error.code not in _TOO_LONG:
                raise
            if len(entries) == 1:
                return [Failed(error.code, error.sentence, sender_fault=True)]
        return [result for entry in entries for result in await self._send([entry])]

    async def _queue(self) -> Queue:
        async with self._opening:
            if self._opened is None:
                try:
                    self._opened = await self._open()
                except AwsError as error:
                    raise _refused(error) from error
        return self._opened

    async def _open(self) -> Queue:
        main, named = self._references
        reference = named or await self._policy_target(main)
        async with AsyncExitStack() as trying:
            opening = open_queue(await self._session(), reference)
            queue = await trying.enter_async_context(opening)
            self._limit = (await queue.attributes()).maximum_size
            self._limit_at = self._clock()
            self._main_arn = await self._arn(main)
            self._resources.push_async_exit(trying.pop_all())
        return queue

    async def _arn(self, main: str | None) -> str | None:
        """The main queue's ARN; None if it is not named or cannot be looked up."""
        if main is None:
            return None
        with contextlib.suppress(AwsError):
            async with open_queue(await self._session(), main) as queue:
                return queue.arn
        return None

    async def _policy_target(self, main: str | None) -> str:
        if main is None:
            raise NotStored(
                "there is no dead-letter queue: set RELAY_DLQ_URL, or set RELAY_QUEUE_URL to a"
                " queue with a redrive policy",
                setting="RELAY_DLQ_URL",
            )
        async with open_queue(await self._session(), main) as queue:
            policy = (await queue.attributes()).redrive
        if policy is None:
            raise NotStored(
                f"the queue {queue.name} has no redrive policy: add one, or set RELAY_DLQ_URL",
                setting="RELAY_DLQ_URL",
            )
        return policy.target_arn


def _entry(copy: DeadLetterCopy, *, fifo: bool) -> Outgoing:
    # A message whose source gave no group id has no order to keep: its group is its own.
    group = copy.group_id or copy.dedup_id if fifo else copy.group_id
    return Outgoing(
        body=copy.body,
        attributes=copy.attributes,
        group_id=group,
        dedup_id=copy.dedup_id if fifo else None,
        trace_header=copy.trace_header,
    )


def _refused(error: AwsError) -> NotStored:
    return _not_stored(error.code, error.kind, error.sentence, error.variable)


def _not_stored(
    code: str, kind: str, sentence: str, variable: str | None = None, *, refused: bool = False
) -> NotStored:
    """A transient failure has no setting; for the others it is what a person has to check."""
    transient = kind in _TRANSIENT
    cause = sentence if code in sentence else f"{sentence} ({code})"
    return NotStored(
        f"the dead-letter queue did not accept a message: {cause}",
        setting=None if transient else variable or "RELAY_DLQ_URL",
        refused=refused,
    )
