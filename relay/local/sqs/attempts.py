"""Receives of a FIFO queue that can be repeated when their answer was lost."""

from __future__ import annotations

from typing import TYPE_CHECKING

from relay.local.sqs.dedup import Memory
from relay.local.sqs.stored import Stored

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
