"""The messages being handled now: one task each, which a second delivery joins."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from typing import Any, TypeVar

from msgspec import Struct

from relay.model.message import Message
from relay.model.outcome import Outcome

T = TypeVar("T")


class Holding(Struct, eq=False):
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
        self._holdings: dict[str, Holding] = {}

    def __len__(self) -> int:
        return len(self._holdings)

    def __iter__(self) -> Iterator[Holding]:
        return iter(list(self._holdings.values()))

    async def join(
        self,
        message: Message,
        work: Callable[[Holding], Coroutine[Any, Any, Outcome]],
        now: float,
    ) -> Outcome:
        """The outcome of this message, from the work under way or from a new one.

        A cancelled caller only leaves. When the last one left, the work is cancelled, so that
        memory holds nothing that nobody waits for; what is on the wire goes on to its end.
        """
        key = message.message_id
        holding = self._holdings.get(key)
        if holding is None:
            holding = self._holdings[key] = Holding(message, now)
            holding.task = asyncio.create_task(work(holding), name=f"message {key}")
            holding.task.add_done_callback(lambda _: self._remove(key, holding))
        assert holding.task is not None  # noqa: S101 - set in the line above, for the type checker
        holding.waiters += 1
        try:
            return await asyncio.shield(holding.task)
        finally:
            holding.waiters -= 1
            self._leave(key, holding, holding.task)

    async def own(
        self,
        message: Message,
        work: Callable[[Holding], Coroutine[Any, Any, Outcome]],
        now: float,
    ) -> Outcome:
        """The outcome of this message from the caller's own task, for who has it to itself.

        Nobody joins it, a cancelled caller cancels the work, and it costs no task and no wake-up.
        """
        key = message.message_id
        holding = self._holdings[key] = Holding(message, now)
        holding.task = asyncio.current_task()
        try:
            return await work(holding)
        finally:
            if self._holdings.get(key) is holding:
                del self._holdings[key]

    def _leave(self, key: str, holding: Holding, task: asyncio.Task[Outcome]) -> None:
        if holding.waiters or task.done():
            return
        self._remove(key, holding)  # a later delivery must not join what is being cancelled
        task.cancel()

    def _remove(self, key: str, holding: Holding) -> None:
        if self._holdings.get(key) is holding:
            del self._holdings[key]
        if holding.task and holding.task.done() and not holding.task.cancelled():
            holding.task.exception()  # retrieved: with no waiter left nobody else would
