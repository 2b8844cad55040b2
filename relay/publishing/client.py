"""The Python API for producers: put events into the queue as the gateway does, without it.

from relay import publish

publish("orders", {"id": "order-8821-created", "name": "shop/order.created", "data": {"n": 1}})
"""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Coroutine, Mapping, Sequence
from contextlib import AsyncExitStack
from types import TracebackType
from typing import Any, Self, TypeAlias, TypeVar

from relay.aws.session import open_session
from relay.model.event import ENVIRONMENT, MAX_ENVIRONMENT, is_environment
from relay.publishing.events import EventLimits, InvalidEvents, read_events
from relay.publishing.ids import new_seed
from relay.publishing.opening import PublisherOptions, open_publisher
from relay.publishing.publisher import EventPublisher

T = TypeVar("T")

Events: TypeAlias = Mapping[str, Any] | Sequence[Mapping[str, Any]]
"""One event or several, with the fields of docs/message.md."""


class Publisher:
    """Publishes events to one queue; an async context manager that owns its connections.

    Concurrent calls share requests to SQS. Credentials, region and endpoint are found as the AWS
    command line finds them.

    Args:
        queue: the queue's URL, ARN or name.
        group_path: JMESPath of an event's message group, such as `data.customer`.
        payload_bucket: the S3 bucket for events that are too large for the queue. The relay must
            have it in `RELAY_PAYLOAD_BUCKETS`.
        environment: the Inngest environment of the events; None for the relay's own.
        timeout: seconds in which SQS must have confirmed all events of a call.
        region: the queue's region, where neither the queue's URL nor the environment tells it.
        profile: a profile of the AWS configuration file.

    Raises:
        ValueError: the path is no JMESPath, or the environment cannot be one.
    """

    def __init__(
        self,
        queue: str,
        *,
        group_path: str | None = None,
        payload_bucket: str | None = None,
        environment: str | None = None,
        timeout: float = 5.0,
        region: str | None = None,
        profile: str | None = None,
    ) -> None:
        if environment is not None and not is_environment(environment):
            raise ValueError(
                f"environment={environment!r}: give 1 to {MAX_ENVIRONMENT} printable ASCII"
                f" characters, for the attribute {ENVIRONMENT}"
            )
        self._queue = queue
        self._options = PublisherOptions(
            group_path=group_path, payload_bucket=payload_bucket, timeout=timeout
        )
        self._environment = environment
        self._identity = (region, profile)
        self._stack = AsyncExitStack()
        self._publisher: EventPublisher | None = None

    async def __aenter__(self) -> Self:
        """Open the queue.

        Raises:
            AwsError: the queue does not exist, or the credentials may not use it. Its text is a
                sentence for a person.
        """
        async with AsyncExitStack() as opening:
            session = await opening.enter_async_context(open_session(*self._identity))
            opened = open_publisher(self._queue, self._options, lambda: _returned(session))
            self._publisher = await opening.enter_async_context(opened)
            self._stack = opening.pop_all()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._publisher = None
        await self._stack.aclose()

    async def publish(self, events: Events, *, traceparent: str | None = None) -> list[str]:
        """Return the id of each event, once SQS has confirmed them all.

        An event without its own `id` gets a new one, so that a repeated call is another event. Give
        every event an id made of what happened. `traceparent` links the events to a W3C trace.

        Raises:
            InvalidEvents: the relay would reject one of them, or one is too large. None was sent.
            NotPublished: not all are known to be in the queue. Call again with the same ids.
            RuntimeError: the publisher is not open.
            TypeError: an event is not of JSON's types.
        """
        if self._publisher is None:
            raise RuntimeError("the publisher is not open: use it as `async with Publisher(…)`")
        read = read_events(
            _encoded(events), new_seed(), EventLimits(), trace=traceparent, env=self._environment
        )
        if read:
            await self._publisher.publish(read)
        return [event.id for event in read]


class SyncPublisher:
    """A `Publisher` for code without an event loop; a context manager, safe to share by threads.

    It runs an event loop in a thread of its own. After a fork the child needs another one. The
    arguments are those of `Publisher`.
    """

    def __init__(self, queue: str, **options: Any) -> None:
        self._publisher = Publisher(queue, **options)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._submitting = threading.Lock()

    def __enter__(self) -> Self:
        """Open the queue. Raises as `Publisher` does."""
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(
            target=_run_until_stopped, args=(self._loop,), name="relay", daemon=True
        )
        self._thread.start()
        try:
            self._run(self._publisher.__aenter__())
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            self._run(self._publisher.__aexit__(kind, error, trace))
        finally:
            self._end()

    def publish(self, events: Events, *, traceparent: str | None = None) -> list[str]:
        """Return the id of each event, once SQS has confirmed them all. See `Publisher`."""
        return self._run(self._publisher.publish(events, traceparent=traceparent))

    def _run(self, work: Coroutine[Any, Any, T]) -> T:
        with self._submitting:
            if self._loop is None:
                work.close()
                raise RuntimeError("the publisher is not open: use it as `with SyncPublisher(…)`")
            future = asyncio.run_coroutine_threadsafe(work, self._loop)
        try:
            return future.result()
        finally:
            future.cancel()  # after Ctrl-C it is still running

    def _end(self) -> None:
        loop, thread = self._loop, self._thread
        assert loop is not None and thread is not None  # noqa: S101, PT018 - as above
        with self._submitting:
            self._loop = None
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


def _run_until_stopped(loop: asyncio.AbstractEventLoop) -> None:
    """Run the loop, and then finish what other threads wait for."""
    loop.run_forever()
    loop.run_until_complete(_finish_others())


async def _finish_others() -> None:
    while others := asyncio.all_tasks() - {asyncio.current_task()}:
        await asyncio.wait(others)


def publish(queue: str, events: Events, **options: Any) -> list[str]:
    """Publish events in one call: open the queue, return the ids once SQS has confirmed, close.

    For scripts and cron jobs. A program that publishes often keeps a `SyncPublisher`. The options
    are those of `Publisher`, and it raises what `Publisher` raises.
    """

    async def work() -> list[str]:
        async with Publisher(queue, **options) as publisher:
            return await publisher.publish(events)

    if _has_loop():
        raise RuntimeError("publish() cannot be called in an event loop: use `Publisher` there")
    return asyncio.run(work())


def _has_loop() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


def _encoded(events: Events) -> bytes:
    """The JSON text of the events.

    Raises:
        InvalidEvents: they are nested too deeply.
        TypeError: something in them is not of JSON's types.
    """
    given = events if isinstance(events, Mapping) else list(events)
    try:
        try:
            return json.dumps(given, ensure_ascii=False, separators=(",", ":")).encode()
        except UnicodeEncodeError:  # half of a surrogate pair, which an escape can hold
            return json.dumps(given, separators=(",", ":")).encode()
    except RecursionError:
        raise InvalidEvents("too_deep", "the events are nested too deeply") from None


async def _returned(session: Any) -> Any:
    return session
