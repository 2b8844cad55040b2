"""Receives of a FIFO queue that can be repeated when their answer was lost."""

from __future__ import annotations

from collections.abc import Hashable
from typing import TYPE_CHECKING, Generic, TypeVar

from relay.local.sqs.stored import Stored

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


if TYPE_CHECKING:  # a queue owns its attempts
    from relay.local.sqs.queue import Queue


class Attempts:
    """What each ReceiveRequestAttemptId of the last five minutes was given."""

    def __init__(self) -> None:
        self._memory: Memory[list[tuple[Stored, int, float]]] = Memory()

    def remember(self, queue: Queue, attempt: str, taken: list[Stored]) -> None:
        """Note what an attempt has just been given."""
        given = [(stored, stored.receipt, stored.visible_at) for stored in taken]
        self._memory.remember(attempt, given, queue.tick())

    def repeat(self, queue: Queue, attempt: str, visibility: float) -> list[Stored]:
        """The same messages with the same handles and a fresh visibility timeout.

        Nothing when the attempt is unknown, or any of its messages was deleted, lapsed or had its
        visibility changed since.
        """
        now = queue.tick()
        given = self._memory.recall(attempt, now)
        if given is None or not all(_untouched(queue, *item) for item in given):
            return []
        again = [stored for stored, _, _ in given]
        for stored in again:
            queue.hold(stored, now + visibility)
        self.remember(queue, attempt, again)
        return again


def _untouched(queue: Queue, stored: Stored, receipt: int, visible_at: float) -> bool:
    return (
        queue.copy(stored.serial) is stored
        and stored.receipt == receipt
        and stored.visible_at == visible_at
        and stored.state == "in_flight"
    )
