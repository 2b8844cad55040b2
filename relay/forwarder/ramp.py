"""The ramp: after an outage requests grow from small to full, so that nobody is hit by a burst."""

from __future__ import annotations

FIRST = 2
"""Events in the first request after a probe, which was one, has passed."""


class Ramp:
    """How many events a request may hold. While `active`, each kind of request goes one by one."""

    def __init__(self, full: int) -> None:
        self._full = full
        self._items = full

    @property
    def items(self) -> int:
        """Most events in the next request."""
        return self._items

    @property
    def active(self) -> bool:
        """Whether the full size has not been reached yet."""
        return self._items < self._full

    def restart(self) -> None:
        """The way was closed and is free again."""
        self._items = min(self._full, FIRST)

    def grow(self) -> None:
        """A request was answered: the next may be twice as large."""
        self._items = min(self._full, self._items * 2)
