"""FIFO deduplication: what was sent, and what each receive attempt was given, for five minutes."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Generic, Protocol, TypeVar

from relay.local.sqs.stored import Stored

T = TypeVar("T")
INTERVAL = 300.0  # seconds, for sends and for receive attempts, from the API reference


class ExpiringMap(Generic[T]):
    """A map whose entries expire after five minutes."""

    def __init__(self) -> None:
        self._entries: dict[Hashable, tuple[float, T]] = {}

    def recall(self, key: Hashable, now: float) -> T | None:
        """The value of this key, if it has not expired."""
        self._expire(now)
        entry = self._entries.get(key)
        return None if entry is None else entry[1]

    def remember(self, key: Hashable, value: T, now: float) -> None:
        """Set the value of this key; it expires five minutes from now."""
        self._expire(now)
        self._entries.pop(key, None)  # keeps the entries ordered by age
        self._entries[key] = (now, value)

    def clear(self) -> None:
        """Forget all entries."""
        self._entries.clear()

    def _expire(self, now: float) -> None:
        while self._entries:
            key = next(iter(self._entries))
            if now - self._entries[key][0] < INTERVAL:
                return
            del self._entries[key]


class Leases(Protocol):
    """The methods of a queue that `Attempts` uses; the queue itself imports this module."""

    def tick(self) -> float:
        """Apply what is due; returns the time."""
        ...

    def copy(self, serial: int) -> Stored | None:
        """The copy with this number, if it is still in the queue."""
        ...

    def hold(self, stored: Stored, until: float) -> None:
        """Hide a message until then."""
        ...


class Deduplication:
    """The sends of the last five minutes by deduplication id, of the queue or of each group."""

    def __init__(self, *, by_group: bool) -> None:
        self._by_group = by_group
        self._sent: ExpiringMap[tuple[str, str | None]] = ExpiringMap()

    def earlier(self, stored: Stored, now: float) -> tuple[str, str | None] | None:
        """The MessageId and sequence number of an earlier send with the same id."""
        return self._sent.recall(self._key(stored), now)

    def remember(self, stored: Stored, now: float) -> None:
        """Note this send."""
        self._sent.remember(self._key(stored), (stored.message_id, stored.sequence_number), now)

    def clear(self) -> None:
        """Forget all sends."""
        self._sent.clear()

    def _key(self, stored: Stored) -> tuple[str | None, str | None]:
        return stored.group_id if self._by_group else None, stored.dedup_id


class Attempts:
    """What each ReceiveRequestAttemptId of the last five minutes was given.

    It lets a client repeat a receive whose response was lost.
    """

    def __init__(self) -> None:
        self._given: ExpiringMap[list[tuple[Stored, int, float]]] = ExpiringMap()

    def remember(self, queue: Leases, attempt: str, taken: list[Stored]) -> None:
        """Record what an attempt was given just now."""
        given = [(stored, stored.receipt, stored.visible_at) for stored in taken]
        self._given.remember(attempt, given, queue.tick())

    def repeat(self, queue: Leases, attempt: str, visibility: float) -> list[Stored]:
        """The same messages with the same handles and a new visibility timeout.

        Empty if the attempt is unknown, or if since then any of its messages was deleted, became
        visible or had its visibility changed.
        """
        now = queue.tick()
        given = self._given.recall(attempt, now)
        if given is None or not all(_unchanged(queue, *item) for item in given):
            return []
        again = [stored for stored, _, _ in given]
        for stored in again:
            queue.hold(stored, now + visibility)
        self.remember(queue, attempt, again)
        return again


def _unchanged(queue: Leases, stored: Stored, receipt: int, visible_at: float) -> bool:
    return (
        queue.copy(stored.serial) is stored
        and stored.receipt == receipt
        and stored.visible_at == visible_at
        and stored.state == "in_flight"
    )
