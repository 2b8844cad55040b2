"""What FIFO queues remember for five minutes: deduplication ids, and receives to be repeated."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Generic, TypeVar

T = TypeVar("T")
INTERVAL = 300.0  # seconds, for both, from the API's text


class Memory(Generic[T]):
    """What was said under a key within the last five minutes, deleted messages included."""

    def __init__(self) -> None:
        self._entries: dict[Hashable, tuple[float, T]] = {}

    def recall(self, key: Hashable, now: float) -> T | None:
        """What is remembered under this key."""
        self._forget(now)
        entry = self._entries.get(key)
        return None if entry is None else entry[1]

    def remember(self, key: Hashable, what: T, now: float) -> None:
        """Keep this under the key from now on."""
        self._forget(now)
        self._entries.pop(key, None)  # so that the oldest stay first
        self._entries[key] = (now, what)

    def clear(self) -> None:
        """Forget everything."""
        self._entries.clear()

    def _forget(self, now: float) -> None:
        while self._entries:
            key = next(iter(self._entries))
            if now - self._entries[key][0] < INTERVAL:
                return
            del self._entries[key]
