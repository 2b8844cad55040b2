"""The messages being handled now: one task each, which a second delivery joins."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from typing import Any, TypeVar

from msgspec import Struct

from relay.model.message import Message
from relay.model.outcome import Outcome

T = TypeVar("T")


class InFlightMessage(Struct, eq=False):
    """One message in hand. `waiting` while it waits for somebody else and may be cut short."""

    message: Message
    since: float
    task: asyncio.Task[Any] | None = None
    waiters: int = 0
    waiting: bool = False
    expired: bool = False

    def expire(self) -> None:
        """End the wait, now and for good: the queue is about to delete the message."""
        if self.task is not None and self.waiting and not self.expired:
            self.expired = True
            self.task.cancel()

    async def unless_expired(self, wait: Awaitable[T]) -> T | None:
        """What `wait` gives, or None where the message expires first."""
        self.waiting = True
        try:
            return await wait
        except asyncio.CancelledError:
            # Somebody else may have cancelled the task too, and means all of it.
            if not self.expired or self.task is None or self.task.uncancel() > 0:
                raise
            return None
        finally:
            self.waiting = False


class InFlight:
    """Joins deliveries of one message. Bounded by its callers: each waiter is a delivery."""

    def __init__(self) -> None:
        self._holdings: dict[str, InFlightMessage] = {}

    def __len__(self) -> int:
        return len(self._holdings)

    def __iter__(self) -> Iterator[InFlightMessage]:
        return iter(list(self._holdings.values()))

    async def join(
        self,
        message: Message,
        work: Callable[[InFlightMessage], Coroutine[Any, Any, Outcome]],
        now: float,
    ) -> Outcome:
        """The outcome of this message, from the work under way or from a new one.

        A cancelled caller only leaves. When the last one left, the work is cancelled, so that
        memory holds nothing that nobody waits for; what is on the wire goes on to its end.
        """
        key = message.message_id
        item = self._holdings.get(key)
        if item is None:
            item = self._holdings[key] = InFlightMessage(message, now)
            item.task = asyncio.create_task(work(item), name=f"message {key}")
            item.task.add_done_callback(lambda _: self._remove(key, item))
        assert item.task is not None  # noqa: S101 - set in the line above, for the type checker
        item.waiters += 1
        try:
            return await asyncio.shield(item.task)
        finally:
            item.waiters -= 1
            self._leave(key, item, item.task)

    async def own(
        self,
        message: Message,
        work: Callable[[InFlightMessage], Coroutine[Any, Any, Outcome]],
        now: float,
    ) -> Outcome:
        """The outcome of this message from the caller's own task, for who has it to itself.

        Nobody joins it, a cancelled caller cancels the work, and it costs no task and no wake-up.
        """
        key = message.message_id
        item = self._holdings[key] = InFlightMessage(message, now)
        item.task = asyncio.current_task()
        try:
            return await work(item)
        finally:
            if self._holdings.get(key) is item:
                del self._holdings[key]

    def _leave(self, key: str, item: InFlightMessage, task: asyncio.Task[Outcome]) -> None:
        if item.waiters or task.done():
            return
        self._remove(key, item)  # a later delivery must not join what is being cancelled
        task.cancel()

    def _remove(self, key: str, item: InFlightMessage) -> None:
        if self._holdings.get(key) is item:
            del self._holdings[key]
        if item.task and item.task.done() and not item.task.cancelled():
            item.task.exception()  # retrieved: with no waiter left nobody else would
