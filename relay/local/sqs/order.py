"""The order in which visible messages are handed out: a standard queue's and a FIFO queue's."""

from __future__ import annotations

import asyncio
import heapq
import itertools
from collections import Counter
from collections.abc import Callable
from typing import Generic, Protocol, TypeVar

from relay.local.clock import Clock
from relay.local.sqs.stored import Stored

T = TypeVar("T")
_SLACK = 64  # below this many dead entries a sweep is not worth its cost


class Schedule(Generic[T]):
    """A heap whose members can be moved and taken out: each has one number at a time.

    `put`, `remove` and `pop` cost O(log n): an entry that no longer counts stays in the heap until
    it surfaces, or until the dead ones outnumber the living.
    """

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, T]] = []
        self._entry: dict[T, int] = {}
        self._serials = itertools.count()

    def __len__(self) -> int:
        return len(self._entry)

    def __contains__(self, member: T) -> bool:
        return member in self._entry

    def put(self, member: T, at: float) -> None:
        """Place a member at this number; one that was placed before is moved."""
        serial = next(self._serials)
        self._entry[member] = serial
        heapq.heappush(self._heap, (at, serial, member))
        if len(self._heap) > 2 * len(self._entry) + _SLACK:
            self._sweep()

    def remove(self, member: T) -> None:
        """Take a member out; nothing happens to one that is not in."""
        self._entry.pop(member, None)

    def first(self) -> float | None:
        """The smallest number, or None when nobody is in."""
        self._settle()
        return self._heap[0][0] if self._heap else None

    def pop(self, until: float = float("inf")) -> T | None:
        """Take out the member with the smallest number, if that is not past `until`."""
        first = self.first()
        if first is None or first > until:
            return None
        member = heapq.heappop(self._heap)[2]
        del self._entry[member]
        return member

    def _settle(self) -> None:
        heap, entry = self._heap, self._entry
        while heap and entry.get(heap[0][2]) != heap[0][1]:
            heapq.heappop(heap)

    def _sweep(self) -> None:
        entry = self._entry
        self._heap = [item for item in self._heap if entry.get(item[2]) == item[1]]
        heapq.heapify(self._heap)


_OFTEN = 3  # a standard message received this often goes to the back, says the developer guide


class Line(Protocol):
    """Visible messages in their order.

    What was taken is out, until it is released: by its end, or after it was put back.
    """

    def __len__(self) -> int: ...

    def put(self, stored: Stored) -> None:
        """Let a message stand where it belongs."""
        ...

    def remove(self, stored: Stored) -> None:
        """Take a message out of the line, if it stands in it."""
        ...

    def release(self, stored: Stored) -> None:
        """Learn that a message that was taken is out no more."""
        ...

    def take(self, count: int, admit: Callable[[Stored], bool]) -> list[Stored]:
        """Offer messages to `admit` in turn until it has accepted `count`, or none is left.

        What it turns down (it went to the dead-letter queue) has left the line as well.
        """
        ...


class StandardLine:
    """Roughly first in, first out; messages that come back often go to the back."""

    def __init__(self, next_place: Callable[[], int]) -> None:
        self._line: Schedule[Stored] = Schedule()
        self._next_place = next_place

    def __len__(self) -> int:
        return len(self._line)

    def put(self, stored: Stored) -> None:
        """Let a message stand at its place, or at the end when it was received often."""
        if stored.receive_count >= _OFTEN:
            stored.place = self._next_place()
        self._line.put(stored, stored.place)

    def remove(self, stored: Stored) -> None:
        """Take a message out of the line."""
        self._line.remove(stored)

    def release(self, stored: Stored) -> None:
        """Nothing waits for a message of a standard queue."""

    def take(self, count: int, admit: Callable[[Stored], bool]) -> list[Stored]:
        """Take from the front."""
        taken: list[Stored] = []
        while len(taken) < count and (stored := self._line.pop()) is not None:
            if admit(stored):
                taken.append(stored)
        return taken


class FifoLine:
    """Strictly first in, first out within a group, which is locked while one of its is out."""

    def __init__(self) -> None:
        self._groups: dict[str, Schedule[Stored]] = {}
        self._free: Schedule[str] = Schedule()
        self._out: Counter[str] = Counter()
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def put(self, stored: Stored) -> None:
        """Let a message stand at its place in its group."""
        group = stored.group_id or ""
        self._groups.setdefault(group, Schedule()).put(stored, stored.place)
        self._count += 1
        self._refresh(group)

    def remove(self, stored: Stored) -> None:
        """Take a message out of its group."""
        group = stored.group_id or ""
        line = self._groups.get(group)
        if line is not None and stored in line:
            line.remove(stored)
            self._count -= 1
            self._refresh(group)

    def release(self, stored: Stored) -> None:
        """Unlock the group, when this was the last of it that was out."""
        group = stored.group_id or ""
        self._out[group] -= 1
        self._refresh(group)

    def take(self, count: int, admit: Callable[[Stored], bool]) -> list[Stored]:
        """Take from the group whose first message is the oldest, then from the next."""
        taken: list[Stored] = []
        while len(taken) < count and (group := self._free.pop()) is not None:
            taken += self._take_from(group, count - len(taken), admit)
        return taken

    def _take_from(self, group: str, count: int, admit: Callable[[Stored], bool]) -> list[Stored]:
        line = self._groups[group]
        taken: list[Stored] = []
        while len(taken) < count and (stored := line.pop()) is not None:
            self._count -= 1
            if admit(stored):
                taken.append(stored)
        self._out[group] += len(taken)
        self._refresh(group)
        return taken

    def _refresh(self, group: str) -> None:
        """Let the group be found by its first message, or not at all while it is locked."""
        line = self._groups.get(group)
        first = None if line is None else line.first()
        if self._out[group] <= 0:
            del self._out[group]
        if first is None:
            self._groups.pop(group, None)
        if first is None or group in self._out:
            self._free.remove(group)
        else:
            self._free.put(group, first)


class Waiters:
    """Who waits, in the order in which they came."""

    def __init__(self) -> None:
        self._waiting: dict[asyncio.Future[None], None] = {}

    def __len__(self) -> int:
        return len(self._waiting)

    def wake(self) -> None:
        """Wake the first; it looks at the queue, and wakes the next while there is more."""
        for waiter in self._waiting:
            if not waiter.done():
                waiter.set_result(None)
                return

    def wake_all(self) -> None:
        """Wake everybody: the queue is gone."""
        for waiter in self._waiting:
            if not waiter.done():
                waiter.set_result(None)

    async def wait(self, clock: Clock, seconds: float) -> None:
        """Return when woken, or after `seconds`."""
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        alarm = asyncio.ensure_future(clock.sleep(seconds))
        self._waiting[waiter] = None
        try:
            await asyncio.wait({waiter, alarm}, return_when=asyncio.FIRST_COMPLETED)
        except asyncio.CancelledError:
            if waiter.done():
                del self._waiting[waiter]
                self.wake()  # the call was for whoever can take the message
            raise
        finally:
            self._waiting.pop(waiter, None)
            alarm.cancel()
