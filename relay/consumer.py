"""The Python API: consume an SQS queue with a handler of your own.

from relay import Delivered, Message, run


async def handle(message: Message) -> Delivered:
    print(message.body)
    return Delivered()


run("orders", handle)
"""

from __future__ import annotations

import functools
import inspect
import logging
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import TypeAlias

from relay import process
from relay.aws.errors import AwsError
from relay.aws.session import Session, open_session
from relay.aws.sqs import Queue, open_queue
from relay.delivery.dead_letter_store import SqsDeadLetterStore
from relay.delivery.dead_lettering import DeadLettering
from relay.delivery.next_origin import next_origin
from relay.delivery.retention import Retention
from relay.model.facts import Observe, ignore
from relay.model.message import Message
from relay.model.outcome import Outcome, Reject
from relay.sources.poller import Limits, Poller, PollerStatus

Handler: TypeAlias = Callable[[Message], Awaitable[Outcome]]
"""Receives one message and returns what becomes of it: `Delivered`, `Retry` or `Reject`."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Connection:
    """An open queue, with the dead-letter queue that `connect` was given. Made by `connect`."""

    queue: Queue
    dead_letters: SqsDeadLetterStore | None


@asynccontextmanager
async def connect(
    queue: str,
    *,
    dead_letter_queue: str | None = None,
    region: str | None = None,
    profile: str | None = None,
) -> AsyncIterator[Connection]:
    """Open a queue for as long as the block runs.

    Credentials, region and endpoint are found as the AWS command line finds them.

    Args:
        queue: the queue's URL, ARN or name.
        dead_letter_queue: URL, ARN or name of a queue that keeps rejected messages; without one a
            rejected message is deleted.
        region: the queue's region, where neither the queue's URL nor the environment tells it.
        profile: a profile of the AWS configuration file.

    Raises:
        AwsError: a queue does not exist, the credentials may not use it, or no region is known. Its
            text is a sentence for a person.
    """
    async with AsyncExitStack() as stack:
        session = await stack.enter_async_context(open_session(region, profile))
        opened = await _existing(stack, session, queue)
        store = None
        if dead_letter_queue is not None:
            dead = await _existing(stack, session, dead_letter_queue)
            if dead.arn == opened.arn:
                raise AwsError(
                    "InvalidAddress",
                    "misconfigured",
                    f"dead_letter_queue is the queue {opened.name} itself, where a rejected message"
                    " would be received again and again: name another queue",
                )
            store = SqsDeadLetterStore(
                functools.partial(_returned, session),
                stack,
                queue=queue,
                dead_letter_queue=dead_letter_queue,
            )
        yield Connection(opened, store)


async def _existing(stack: AsyncExitStack, session: Session, reference: str) -> Queue:
    """The queue, after one call that proves that it exists and may be used."""
    queue = await stack.enter_async_context(open_queue(session, reference))
    await queue.attributes()
    return queue


async def _returned(session: Session) -> Session:
    return session


class Consumer:
    """Consumes a queue with a handler until it is stopped.

    The handler returns what becomes of each message:

    - `Delivered()`: the message is deleted.
    - `Retry(reason, after=seconds)`: it becomes visible again after so many seconds; without
      `after` the pause grows with each receive and is jittered.
    - `Reject(code, reason)`: a copy with code and reason goes to the dead-letter queue, if
      `connect` was given one, and the message is deleted.

    An exception, and any return value that is not one of these, is logged and means `Retry`: the
    message is never deleted by mistake. A message can arrive more than once, so a handler must be
    idempotent. Many handlers run concurrently in one event loop; run blocking work in a thread. On
    a FIFO queue the messages of a group are handled in order.

    Args:
        connection: from `connect`.
        handle: an async function of one message.
        limits: how much may be in flight and handled at once.
        observe: called with a fact (`relay.model.facts`) for everything that happens.

    Raises:
        TypeError: `handle` is not an async function.
    """

    def __init__(
        self,
        connection: Connection,
        handle: Handler,
        *,
        limits: Limits | None = None,
        observe: Observe = ignore,
    ) -> None:
        if inspect.isfunction(handle) and not inspect.iscoroutinefunction(handle):
            raise TypeError(
                f"{handle.__qualname__} is not an async function: define it with `async def`"
            )
        store, retention = connection.dead_letters, Retention()
        self._dead_letters = None if store is None else DeadLettering(store, observe=observe)
        self._poller = Poller(
            connection.queue,
            _rejecting(handle, self._dead_letters, retention),
            limits=limits,
            observe=observe,
            retention=retention,
        )

    async def run(self) -> None:
        """Consume until `stop` is called; returns when nothing is in flight. Once per consumer."""
        try:
            await self._poller.run()
        finally:
            if self._dead_letters is not None:
                await self._dead_letters.drain()

    def stop(self) -> None:
        """Receive no more and finish what is in flight; called again: release it and return."""
        self._poller.stop()

    @property
    def status(self) -> PollerStatus:
        """What the consumer is doing now."""
        return self._poller.status


def run(
    queue: str,
    handle: Handler,
    *,
    dead_letter_queue: str | None = None,
    limits: Limits | None = None,
) -> None:
    """Consume a queue until SIGTERM or Ctrl-C, as the main function of a program.

    The arguments are those of `connect` and `Consumer`. What AWS refuses at the start (no such
    queue, no credentials) is written to standard error as one sentence, and the program exits with
    1.
    """
    try:
        process.run(_consume(queue, handle, dead_letter_queue, limits))
    except AwsError as error:
        sys.exit(f"relay: {error}")


async def _consume(
    queue: str, handle: Handler, dead_letter_queue: str | None, limits: Limits | None
) -> None:
    async with connect(queue, dead_letter_queue=dead_letter_queue) as connection:
        consumer = Consumer(connection, handle, limits=limits)
        with process.on_stop_signal(consumer.stop):
            await consumer.run()


def _rejecting(
    handle: Handler, dead_letters: DeadLettering | None, retention: Retention
) -> Handler:
    """The handler; what it rejects is kept in the dead-letter queue before it is deleted."""

    @functools.wraps(handle)
    async def handled(message: Message) -> Outcome:
        outcome = await handle(message)
        if not isinstance(outcome, Reject):
            return outcome
        if dead_letters is None:
            _log.warning(
                "message %s is deleted: %s (%s)", message.message_id, outcome.reason, outcome.code
            )
            return outcome
        return await dead_letters.put(
            message, next_origin(message, outcome), outcome, retention.must_end
        )

    return handled
