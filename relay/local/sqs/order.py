"""The order in which visible messages are received, and the long polls that wait for them."""

from __future__ import annotations

import asyncio
import heapq
import itertools
from collections.abc import Callable
from typing import Generic, Protocol, TypeVar

from relay.local.clock import Clock
from relay.local.sqs.stored import Stored

T = TypeVar("T")
_SLACK = 64  # a sweep is not worth its cost for fewer dead entries than this
_OFTEN = 3  # a standard message received this often goes to the back, says the developer guide


class Schedule(Generic[T]):
    """Members ordered by number; each has one number at a time.

    `put`, `remove` and `pop` cost O(log n): a dead entry stays in the heap until it reaches the
    top, or until the dead entries outnumber the live ones.
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
        """Add a member with this number, or change the number of a present one."""
        serial = next(self._serials)
        self._entry[member] = serial
        heapq.heappush(self._heap, (at, serial, member))
        if len(self._heap) > 2 * len(self._entry) + _SLACK:
            self._sweep()

    def remove(self, member: T) -> None:
        """Remove a member, if it is present."""
        self._entry.pop(member, None)

    def first(self) -> float | None:
        """The smallest number, or None if there are no members."""
        self._settle()
        return self._heap[0][0] if self._heap else None

    def pop(self, until: float = float("inf")) -> T | None:
        """Remove and return the member with the smallest number, unless that is past `until`."""
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


class DeliveryOrder(Protocol):
    """The visible messages in the order in which they are received.

    A taken message is in flight until `release`, which is called after it was deleted or put back.
    """

    def __len__(self) -> int: ...

    def put(self, stored: Stored) -> None:
        """Add a visible message at its position."""
        ...

    def remove(self, stored: Stored) -> None:
        """Remove a message, if it is present."""
        ...

    def release(self, stored: Stored) -> None:
        """A taken message is no longer in flight."""
        ...

    def take(self, count: int, accept: Callable[[Stored], bool]) -> list[Stored]:
        """Offer messages to `accept` in order until it has accepted `count`, or none is left.

        Messages that it does not accept (they went to the dead-letter queue) are removed as well.
        """
        ...


class StandardOrder:
    """Roughly first in, first out; messages received often go to the back."""

    def __init__(self, next_position: Callable[[], int]) -> None:
        self._schedule: Schedule[Stored] = Schedule()
        self._next_position = next_position

    def __len__(self) -> int:
        return len(self._schedule)

    def put(self, stored: Stored) -> None:
        """Add a message at its position, or at the end if it was received often."""
        if stored.receive_count >= _OFTEN:
            stored.position = self._next_position()
        self._schedule.put(stored, stored.position)

    def remove(self, stored: Stored) -> None:
        """Remove a message, if it is present."""
        self._schedule.remove(stored)

    def release(self, stored: Stored) -> None:
        """Do nothing: in a standard queue, no message waits for another."""

    def take(self, count: int, accept: Callable[[Stored], bool]) -> list[Stored]:
        """Take from the front."""
        taken: list[Stored] = []
        while len(taken) < count and (stored := self._schedule.pop()) is not None:
            if accept(stored):
                taken.append(stored)
        return taken


class _Group:
    """The messages of a group by position: the visible ones, and those in flight."""

    def __init__(self) -> None:
        self.visible: Schedule[Stored] = Schedule()
        self.in_flight: Schedule[Stored] = Schedule()

    def available(self) -> bool:
        """Whether the first visible message has no message in flight before it."""
        first, blocking = self.visible.first(), self.in_flight.first()
        return first is not None and (blocking is None or first < blocking)


class FifoOrder:
    """First in, first out within a group; a message in flight blocks the later ones of its group.

    Groups take turns: one that was received from goes to the back. AWS documents no order among
    groups; this is what its answers show.
    """

    def __init__(self) -> None:
        self._groups: dict[str, _Group] = {}
        self._turns: Schedule[str] = Schedule()  # the groups with a message to receive
        self._serials = itertools.count()
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def put(self, stored: Stored) -> None:
        """Add a message at its position in its group."""
        name = stored.group_id or ""
        self._groups.setdefault(name, _Group()).visible.put(stored, stored.position)
        self._count += 1
        self._refresh(name)

    def remove(self, stored: Stored) -> None:
        """Remove a message from its group, if it is present."""
        name = stored.group_id or ""
        group = self._groups.get(name)
        if group is not None and stored in group.visible:
            group.visible.remove(stored)
            self._count -= 1
            self._refresh(name)

    def release(self, stored: Stored) -> None:
        """Unblock the later messages of the group, unless another one in flight blocks them."""
        name = stored.group_id or ""
        self._groups[name].in_flight.remove(stored)
        self._refresh(name)

    def take(self, count: int, accept: Callable[[Stored], bool]) -> list[Stored]:
        """Take what is available of the first group, then of the next."""
        taken: list[Stored] = []
        while len(taken) < count and (name := self._turns.pop()) is not None:
            taken += self._take_from(name, count - len(taken), accept)
        return taken

    def _take_from(self, name: str, count: int, accept: Callable[[Stored], bool]) -> list[Stored]:
        group = self._groups[name]
        taken: list[Stored] = []
        while len(taken) < count and group.available():
            stored = group.visible.pop()
            self._count -= 1
            if stored is not None and accept(stored):
                taken.append(stored)
        for stored in taken:
            group.in_flight.put(stored, stored.position)
        self._refresh(name)
        return taken

    def _refresh(self, name: str) -> None:
        """Give the group a turn if it has none and needs one; forget it once it is empty."""
        group = self._groups[name]
        if not group.available():
            self._turns.remove(name)
        elif name not in self._turns:
            self._turns.put(name, next(self._serials))
        if not group.visible and not group.in_flight:
            del self._groups[name]


class Waiters:
    """The long polls of a queue, in order of arrival."""

    def __init__(self) -> None:
        self._waiting: dict[asyncio.Future[None], None] = {}

    def __len__(self) -> int:
        return len(self._waiting)

    def wake(self) -> None:
        """Wake the first. Its receive wakes the next one if more messages are visible."""
        for waiter in self._waiting:
            if not waiter.done():
                waiter.set_result(None)
                return

    def wake_all(self) -> None:
        """Wake all of them: the queue was deleted, or something changes sooner than expected."""
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
                self.wake()  # pass the wake-up on, as this poll will not take the message
            raise
        finally:
            self._waiting.pop(waiter, None)
            alarm.cancel()
