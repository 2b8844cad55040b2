"""Batches: concurrent submits of single items become requests of many, each caller gets its own."""

from __future__ import annotations

import asyncio
import math
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

from msgspec import Struct

T = TypeVar("T")
R = TypeVar("R")


class BatcherClosed(RuntimeError):
    """Nothing new is taken any more."""


class WrongCount(RuntimeError):
    """`send` came back with more or fewer results than it was given items: none can be told."""


class _Entry(Struct, Generic[T, R], eq=False):
    """An item, its size and the caller that waits for its result."""

    item: T
    size: int
    result: asyncio.Future[R]


class Batcher(Generic[T, R]):
    """Gathers items in the order of their submission and sends them in batches.

    Args:
        send: called at once when a batch is taken, must not raise by itself; what it returns is
            awaited in a task. One result for each item, in order. What the awaiting raises, each
            caller of the batch gets.
        max_items: most items in a batch. A callable is asked before each batch, 0 holds everything
            back; call `wake` when its answer may have changed.
        max_size: most of the summed `size` in a batch. A larger item goes alone.
        size: an item's size.
        company: how many items a batch with this item may hold; all that fit by default.
        linger: seconds that an item may wait for others while its batch is not full. With 0 a batch
            is sent at once and gathers only while `in_flight` sends are under way.
        in_flight: most sends under way.
        sleep: waits for `linger`.
    """

    def __init__(
        self,
        send: Callable[[Sequence[T]], Awaitable[Sequence[R]]],
        *,
        max_items: int | Callable[[], int],
        max_size: float = math.inf,
        size: Callable[[T], int] | None = None,
        company: Callable[[T], int] | None = None,
        linger: float = 0.0,
        in_flight: int = 2,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._send = send
        self._max_items = max_items
        self._max_size = max_size
        self._size = size
        self._company = company
        self._linger = linger
        self._in_flight = in_flight
        self._sleep = sleep
        # Ordered for a caller that leaves from the middle: its item is gone at once, in O(1).
        self._waiting: OrderedDict[_Entry[T, R], None] = OrderedDict()
        self._waiting_size = 0
        self._running: dict[asyncio.Task[None], Sequence[_Entry[T, R]]] = {}
        self._timer: asyncio.Task[None] | None = None
        self._ripe = linger == 0
        self._woken = False
        self._closed = False
        self._idle = asyncio.Event()
        self._idle.set()

    @property
    def waiting(self) -> int:
        """Items that no send has taken yet."""
        return len(self._waiting)

    @property
    def running(self) -> int:
        """Sends under way."""
        return len(self._running)

    async def submit(self, item: T) -> R:
        """The item's result. A caller that is cancelled takes its item out, unless it was taken.

        Raises:
            BatcherClosed: after `drain` or `aclose`.
            WrongCount: `send` broke its contract.
        """
        if self._closed:
            raise BatcherClosed
        size = 0 if self._size is None else self._size(item)
        loop = asyncio.get_running_loop()
        result: asyncio.Future[R] = loop.create_future()
        entry = _Entry(item, size, result)
        self._waiting[entry] = None
        self._waiting_size += size
        self._idle.clear()
        if not self._woken:
            self._wake(loop)
        try:
            return await result
        except asyncio.CancelledError:
            self._leave(entry)
            raise

    def wake(self) -> None:
        """Look for batches to send, after the callbacks that are already due: they may submit."""
        if not self._woken:
            self._wake(asyncio.get_running_loop())

    def dismiss(self, result: R, *, sent: bool = False) -> None:
        """Give all waiting items this result without a send; with `sent` those under way too.

        The sends under way go on, nobody waits for their results.
        """
        entries = list(self._waiting)
        self._waiting.clear()
        self._waiting_size = 0
        if sent:
            entries += [entry for batch in self._running.values() for entry in batch]
        for entry in entries:
            if not entry.result.done():
                entry.result.set_result(result)
        self._rest()

    async def drain(self) -> None:
        """Take nothing new; return when everything submitted has its result."""
        self._closed = True
        self.wake()
        await self._idle.wait()
        await self._stop_timer()

    async def aclose(self) -> None:
        """Take nothing new, cancel the callers that wait and the sends under way."""
        self._closed = True
        for entry in list(self._waiting):
            entry.result.cancel()
            self._leave(entry)
        await self._stop_timer()
        tasks = list(self._running)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _wake(self, loop: asyncio.AbstractEventLoop) -> None:
        self._woken = True
        loop.call_soon(self._dispatch)

    def _leave(self, entry: _Entry[T, R]) -> None:
        if entry in self._waiting:
            del self._waiting[entry]
            self._waiting_size -= entry.size
            self._rest()

    def _rest(self) -> None:
        if not self._waiting and not self._running:
            self._idle.set()

    def _dispatch(self) -> None:
        self._woken = False
        while self._waiting and len(self._running) < self._in_flight:
            limit = self._max_items if isinstance(self._max_items, int) else self._max_items()
            if limit < 1 or not self._due(limit):
                break
            self._start(self._take(limit))
        if self._waiting and not self._ripe and self._timer is None:
            self._timer = asyncio.get_running_loop().create_task(self._ripen())

    def _due(self, limit: int) -> bool:
        return (
            self._ripe
            or self._closed
            or len(self._waiting) >= limit
            or self._waiting_size >= self._max_size
        )

    def _take(self, limit: int) -> list[_Entry[T, R]]:
        batch: list[_Entry[T, R]] = []
        total = 0
        while self._waiting:
            entry = next(iter(self._waiting))
            if self._company is not None:
                limit = min(limit, max(self._company(entry.item), len(batch)))
            if batch and (len(batch) >= limit or total + entry.size > self._max_size):
                break
            self._waiting.popitem(last=False)
            batch.append(entry)
            total += entry.size
        self._waiting_size -= total
        self._ripe = self._linger == 0
        return batch

    def _start(self, batch: list[_Entry[T, R]]) -> None:
        answer = self._send([entry.item for entry in batch])
        task = asyncio.get_running_loop().create_task(self._hand_out(answer, batch))
        self._running[task] = batch
        task.add_done_callback(self._ended)

    async def _hand_out(
        self, answer: Awaitable[Sequence[R]], batch: Sequence[_Entry[T, R]]
    ) -> None:
        """Give each caller its own result. Those who have left get none."""
        try:
            results = await answer
            if len(results) != len(batch):
                raise WrongCount(f"{len(results)} results for {len(batch)} items")  # noqa: TRY301 - treated as an error of the send
        except Exception as error:  # noqa: BLE001 - every caller of the batch gets it
            for entry in batch:
                if not entry.result.done():
                    entry.result.set_exception(error)
        else:
            for entry, result in zip(batch, results, strict=True):
                if not entry.result.done():
                    entry.result.set_result(result)

    def _ended(self, task: asyncio.Task[None]) -> None:
        for entry in self._running.pop(task):
            # Only a cancelled send leaves callers without a result.
            entry.result.cancel()
        self._rest()
        self.wake()

    async def _ripen(self) -> None:
        try:
            await self._sleep(self._linger)
        finally:
            self._timer = None
        if self._waiting:
            self._ripe = True
            self.wake()

    async def _stop_timer(self) -> None:
        if self._timer is not None:
            timer = self._timer
            timer.cancel()
            await asyncio.gather(timer, return_exceptions=True)
