"""Retention: how long a queue keeps messages, and when waiting must end for it."""

from __future__ import annotations

import time
from collections.abc import Callable

from relay.model.message import Message

EXPIRING = 0.9
"""The part of the queue's retention after which waiting ends and a person is told."""


class Retention:
    """Tells which messages the queue is about to delete.

    `seconds` is how long it keeps them, None where nobody knows; an operator may change it at any
    time, and whoever reads it again sets it here.
    """

    def __init__(
        self, seconds: float | None = None, *, clock: Callable[[], float] = time.time
    ) -> None:
        self.seconds = seconds
        self._clock = clock

    def expiring(self, message: Message) -> bool:
        """Whether the last tenth of its time has begun; never where its age is not known."""
        if self.seconds is None or message.sent_or_received_at is None:
            return False
        return self._clock() - message.sent_or_received_at >= EXPIRING * self.seconds
