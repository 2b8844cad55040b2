"""Retention: how long a queue keeps messages, and which of them it will soon delete."""

from __future__ import annotations

import time
from collections.abc import Callable

from relay.model.message import Message

EXPIRING = 0.9
"""The share of the queue's retention after which a message is dead-lettered instead of waiting."""


class Retention:
    """Knows which messages the queue is about to delete.

    `seconds` is how long it keeps them, None if unknown. An operator may change it at any time;
    whoever reads it again sets it here.
    """

    def __init__(
        self, seconds: float | None = None, *, clock: Callable[[], float] = time.time
    ) -> None:
        self.seconds = seconds
        self._clock = clock

    def expiring(self, message: Message) -> bool:
        """Whether the last tenth of its retention has begun; False if its age is unknown."""
        if self.seconds is None or message.sent_or_received_at is None:
            return False
        return self._clock() - message.sent_or_received_at >= EXPIRING * self.seconds
