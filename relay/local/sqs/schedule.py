"""Messages by a number, smallest first: a time to come, an age, a place in the line."""

from __future__ import annotations

import heapq
import itertools
from typing import Generic, TypeVar

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
