"""A batcher: collects concurrent submits into batches and returns to each caller its own result."""

from __future__ import annotations

import asyncio
import math
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, Protocol, TypeVar

from msgspec import Struct

MAX_PASSED = 1_000
"""Items of other keys that a batch passes over, at the most, in search of those of its own."""

T = TypeVar("T")
R = TypeVar("R")
R_contra = TypeVar("R_contra", contravariant=True)


class Waiter(Protocol[R_contra]):
    """Gets an item's result, as a future does: one of the three calls is made, if it is not done.

    They are made for the items of a batch one after another, so they must not raise.
    """

    def done(self) -> bool:
        """Whether no result is wanted any more."""
        ...

    def set_result(self, result: R_contra, /) -> None:
        """The item has a result."""
        ...

    def set_exception(self, exception: BaseException, /) -> None:
        """The send raised."""
        ...

    def cancel(self) -> object:
        """The item gets no result: its send was cancelled, or the batcher is closed."""
        ...


class BatcherClosed(RuntimeError):
    """The batcher accepts no new items."""


class WrongCount(RuntimeError):
    """`send` returned more or fewer results than items, so none can be assigned to an item."""


class Entry(Struct, Generic[T, R], eq=False):
    """An item, its size, its key and what gets its result."""

    item: T
    size: int
    key: object
    result: Waiter[R]


class Batcher(Generic[T, R]):
    """Collects items in the order of their submission and sends them in batches.

    Args:
        send: called synchronously when a batch is formed and must not raise then. The awaitable it
            returns runs in a task and gives one result for each item, in order. Every caller of
            the batch gets an exception that it raises.
        max_items: the most items in a batch. A callable is called before each batch; 0 holds
            everything back. Call `wake` when its result may have changed.
        max_size: the most that the items' sizes in a batch may add up to. A larger item is sent
            alone.
        size: an item's size.
        batch_limit: the most items in a batch that contains this item; no limit by default.
        linger: seconds that an item may wait for others while its batch is not full. With 0 a batch
            is sent at once; items collect only while `in_flight` sends are running.
        in_flight: the most concurrent sends.
        sleep: waits for `linger`.
    """

    def __init__(
        self,
        send: Callable[[Sequence[T]], Awaitable[Sequence[R]]],
        *,
        max_items: int | Callable[[], int],
        max_size: float = math.inf,
        size: Callable[[T], int] | None = None,
        batch_limit: Callable[[T], int] | None = None,
        linger: float = 0.0,
        in_flight: int = 2,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._send = send
        self._max_items = max_items
        self._max_size = max_size
        self._size = size
        self._batch_limit = batch_limit
        self._linger = linger
        self._in_flight = in_flight
        self._sleep = sleep
        # An ordered dict, so that a cancelled caller's item is removed from the middle in O(1).
        self._waiting: OrderedDict[Entry[T, R], None] = OrderedDict()
        self._waiting_size = 0
        self._running: dict[asyncio.Task[None], Sequence[Entry[T, R]]] = {}
        self._timer: asyncio.Task[None] | None = None
        self._lingered = linger == 0
        self._wake_scheduled = False
        self._closed = False
        self._idle = asyncio.Event()
        self._idle.set()

    @property
    def waiting(self) -> int:
        """Items that are not part of a send yet."""
        return len(self._waiting)

    @property
    def running(self) -> int:
        """Sends that are running."""
        return len(self._running)

    async def submit(self, item: T, key: object = None) -> R:
        """The item's result. Cancelling the call withdraws the item, unless it is being sent.

        The items of a batch have equal keys. An item whose key is another than the first one's
        waits for a later batch, and does not hold up those behind it.

        Raises:
            BatcherClosed: after `drain` or `aclose`.
            WrongCount: `send` broke its contract.
        """
        result: asyncio.Future[R] = asyncio.get_running_loop().create_future()
        entry = self.add(item, result, key)
        try:
            return await result
        except asyncio.CancelledError:
            self.withdraw(entry)
            raise

    def add(self, item: T, waiter: Waiter[R], key: object = None) -> Entry[T, R]:
        """Add an item as `submit` does, for a caller that does not await its result.

        Raises:
            BatcherClosed: after `drain` or `aclose`.
        """
        if self._closed:
            raise BatcherClosed
        size = 0 if self._size is None else self._size(item)
        entry = Entry(item, size, key, waiter)
        if not self._waiting:
            self._idle.clear()
        self._waiting[entry] = None
        self._waiting_size += size
        if not self._wake_scheduled:
            self._wake(asyncio.get_running_loop())
        return entry

    def withdraw(self, entry: Entry[T, R]) -> None:
        """Withdraw an item, unless it is being sent."""
        if entry in self._waiting:
            del self._waiting[entry]
            self._waiting_size -= entry.size
            self._set_idle()

    def wake(self) -> None:
        """Send the batches that are due, after the callbacks already scheduled: they may submit."""
        if not self._wake_scheduled:
            self._wake(asyncio.get_running_loop())

    def resolve_all(self, result: R, *, sent: bool = False) -> None:
        """Give all waiting items this result without sending them; with `sent` those sent too.

        Running sends continue, and their results are ignored.
        """
        entries = list(self._waiting)
        self._waiting.clear()
        self._waiting_size = 0
        if sent:
            entries += [entry for batch in self._running.values() for entry in batch]
        for entry in entries:
            if not entry.result.done():
                entry.result.set_result(result)
        self._set_idle()

    async def drain(self) -> None:
        """Accept nothing new; return when everything submitted has its result."""
        self._closed = True
        self.wake()
        await self._idle.wait()
        await self._stop_timer()

    async def aclose(self) -> None:
        """Accept nothing new; cancel waiting callers and running sends."""
        self._closed = True
        for entry in list(self._waiting):
            entry.result.cancel()
            self.withdraw(entry)
        await self._stop_timer()
        tasks = list(self._running)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _wake(self, loop: asyncio.AbstractEventLoop) -> None:
        self._wake_scheduled = True
        loop.call_soon(self._dispatch)

    def _set_idle(self) -> None:
        if not self._waiting and not self._running:
            self._idle.set()

    def _dispatch(self) -> None:
        self._wake_scheduled = False
        while self._waiting and len(self._running) < self._in_flight:
            limit = self._max_items if isinstance(self._max_items, int) else self._max_items()
            if limit < 1 or not self._due(limit):
                break
            self._start(self._next_batch(limit))
        if self._waiting and not self._lingered and self._timer is None:
            self._timer = asyncio.get_running_loop().create_task(self._wait_linger())

    def _due(self, limit: int) -> bool:
        return (
            self._lingered
            or self._closed
            or len(self._waiting) >= limit
            or self._waiting_size >= self._max_size
        )

    def _next_batch(self, limit: int) -> list[Entry[T, R]]:
        batch: list[Entry[T, R]] = []
        passed: list[Entry[T, R]] = []
        total = 0
        while self._waiting:
            entry = next(iter(self._waiting))
            if batch and entry.key != batch[0].key:
                if len(passed) == MAX_PASSED:
                    break
                self._waiting.popitem(last=False)
                passed.append(entry)
                continue
            if self._batch_limit is not None:
                limit = min(limit, max(self._batch_limit(entry.item), len(batch)))
            if batch and (len(batch) >= limit or total + entry.size > self._max_size):
                break
            self._waiting.popitem(last=False)
            batch.append(entry)
            total += entry.size
        for entry in reversed(passed):
            self._waiting[entry] = None
            self._waiting.move_to_end(entry, last=False)
        self._waiting_size -= total
        self._lingered = self._linger == 0
        return batch

    def _start(self, batch: list[Entry[T, R]]) -> None:
        sending = self._send([entry.item for entry in batch])
        task = asyncio.get_running_loop().create_task(self._resolve(sending, batch))
        self._running[task] = batch
        task.add_done_callback(self._send_done)

    async def _resolve(self, sending: Awaitable[Sequence[R]], batch: Sequence[Entry[T, R]]) -> None:
        """Give each caller its own result. A cancelled caller gets none."""
        try:
            results = await sending
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

    def _send_done(self, task: asyncio.Task[None]) -> None:
        batch = self._running.pop(task)
        if task.cancelled() or task.exception() is not None:
            # Only such a send leaves callers without a result.
            for entry in batch:
                entry.result.cancel()
        self._set_idle()
        self.wake()

    async def _wait_linger(self) -> None:
        try:
            await self._sleep(self._linger)
        finally:
            self._timer = None
        if self._waiting:
            self._lingered = True
            self.wake()

    async def _stop_timer(self) -> None:
        if self._timer is not None:
            timer = self._timer
            timer.cancel()
            await asyncio.gather(timer, return_exceptions=True)
