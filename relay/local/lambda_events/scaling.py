"""How many batches an event source processes at a time."""

from __future__ import annotations

from collections.abc import Callable

START = 5
"""Batches at a time when a standard queue becomes active."""

FEWEST = 2
"""Batches at a time to which AWS goes down after errors: as few as two, when traffic is low."""

PER_MINUTE = 300
"""Further ones a minute while messages are available."""


class Scaling:
    """The allowed concurrency: it grows while messages wait, and shrinks on errors and when idle.

    Source: Lambda Developer Guide, "Configuring scaling behavior for SQS event source mappings":
    five batches at first, up to 300 more a minute, and on errors and throttles "gradually" less.
    By how much is not documented; here an error halves it.

    Args:
        most: the most batches at a time.
        fewest: those that are always allowed.
        clock: seconds.
    """

    def __init__(self, *, most: int, fewest: int = START, clock: Callable[[], float]) -> None:
        self._most = most
        self._fewest = min(fewest, most)
        self._clock = clock
        self._allowed = float(self._fewest)
        self._grown_at = clock()

    @property
    def allowed(self) -> int:
        """The most batches at a time for now."""
        return int(self._allowed)

    def received(self) -> None:
        """A receive returned messages: more may be available."""
        now = self._clock()
        grown = (now - self._grown_at) * PER_MINUTE / 60
        self._grown_at = now
        self._allowed = min(self._most, self._allowed + min(grown, PER_MINUTE))

    def idle(self) -> None:
        """A receive returned nothing."""
        self._grown_at = self._clock()
        self._allowed = min(self._allowed, self._fewest)

    def failed(self) -> None:
        """An invocation failed or was throttled."""
        self._grown_at = self._clock()
        self._allowed = max(min(FEWEST, self._most), self._allowed / 2)

    def succeeded(self) -> None:
        """An invocation succeeded: back to at least the start."""
        self._allowed = max(self._allowed, self._fewest)
