"""The messages in flight: a second delivery of one joins the task that handles it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from typing import Any, TypeVar

from msgspec import Struct

from relay.model.message import Message
from relay.model.outcome import Outcome

T = TypeVar("T")


class InFlightMessage(Struct, eq=False):
    """One message in flight. `waiting` is True while its wait may be ended by `expire`."""

    message: Message
    since: float
    task: asyncio.Task[Any] | None = None
    waiters: int = 0
    waiting: bool = False
    expired: bool = False

    def expire(self) -> None:
        """End the wait, and all later ones: the queue is about to delete the message."""
        if self.task is not None and self.waiting and not self.expired:
            self.expired = True
            self.task.cancel()

    async def unless_expired(self, wait: Awaitable[T]) -> T | None:
        """The result of `wait`, or None if the message expires first."""
        self.waiting = True
        try:
            return await wait
        except asyncio.CancelledError:
            # Another caller may have cancelled the task too, and meant all of it.
            if not self.expired or self.task is None or self.task.uncancel() > 0:
                raise
            return None
        finally:
            self.waiting = False


class InFlight:
    """Joins the deliveries of a message. Bounded by its callers: each waiter is a delivery."""

    def __init__(self) -> None:
        self._items: dict[str, InFlightMessage] = {}

    def __len__(self) -> int:
        return len(self._items)

    def __iter__(self) -> Iterator[InFlightMessage]:
        return iter(list(self._items.values()))

    async def join(
        self,
        message: Message,
        work: Callable[[InFlightMessage], Coroutine[Any, Any, Outcome]],
        now: float,
    ) -> Outcome:
        """The outcome of the message, from the task that handles it already or from a new one.

        A cancelled caller only leaves. The task is cancelled when the last caller has left, so that
        memory holds no message without a caller. A request that has been sent is not cancelled.
        """
        key = message.message_id
        item = self._items.get(key)
        if item is None:
            item = self._items[key] = InFlightMessage(message, now)
            item.task = asyncio.create_task(work(item), name=f"message {key}")
            item.task.add_done_callback(lambda _: self._remove(key, item))
        assert item.task is not None  # noqa: S101 - set in the line above, for the type checker
        item.waiters += 1
        try:
            return await asyncio.shield(item.task)
        finally:
            item.waiters -= 1
            self._leave(key, item, item.task)

    async def run_exclusive(
        self,
        message: Message,
        work: Callable[[InFlightMessage], Coroutine[Any, Any, Outcome]],
        now: float,
    ) -> Outcome:
        """The outcome of the message, handled in the caller's task; no other delivery may join it.

        Cancelling the caller cancels the work. It needs no task and no wake-up of its own.
        """
        key = message.message_id
        item = self._items[key] = InFlightMessage(message, now)
        item.task = asyncio.current_task()
        try:
            return await work(item)
        finally:
            if self._items.get(key) is item:
                del self._items[key]

    def _leave(self, key: str, item: InFlightMessage, task: asyncio.Task[Outcome]) -> None:
        if item.waiters or task.done():
            return
        self._remove(key, item)  # a later delivery must not join what is being cancelled
        task.cancel()

    def _remove(self, key: str, item: InFlightMessage) -> None:
        if self._items.get(key) is item:
            del self._items[key]
        if item.task and item.task.done() and not item.task.cancelled():
            item.task.exception()  # retrieved: there may be no waiter left to do it
