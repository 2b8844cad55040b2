"""A token bucket: so many events a second, and a second's worth at once after a rest."""

from __future__ import annotations

import time
from collections.abc import Callable


class TokenBucket:
    """Pure: it says how long to wait, and somebody else waits.

    Who takes more than there is goes into debt and waits for it to be paid, so that a batch larger
    than the bucket passes too, and callers are served in the order in which they took.

    Args:
        rate: tokens a second.
        burst: most tokens that a rest fills up; a second's worth, at least one, by default.
        clock: seconds that never go back.
    """

    def __init__(
        self,
        rate: float,
        *,
        burst: float | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._rate = rate
        self._burst = max(1.0, rate) if burst is None else burst
        self._clock = clock
        self._tokens = self._burst
        self._at = clock()

    def take(self, count: int) -> float:
        """Take so many tokens; returns the seconds until they are the caller's, 0 for now."""
        now = self._clock()
        self._tokens = min(self._burst, self._tokens + (now - self._at) * self._rate)
        self._at = now
        self._tokens -= count
        return max(0.0, -self._tokens / self._rate)

    def give_back(self, count: int) -> None:
        """Tokens that were taken and not used."""
        self._tokens = min(self._burst, self._tokens + count)
