"""Waiting longer after each failure, with jitter, so that a fleet does not come back in step."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

LONGEST_AFTER = 300.0
"""Seconds. No `Retry-After` keeps us away for longer: it may be a mistake, a probe costs little."""

_DOUBLINGS = 32


@dataclass(frozen=True, slots=True)
class Backoff:
    """Seconds to wait: doubling from `first` to `cap`, the second half of each left to chance."""

    first: float
    cap: float

    def delay(
        self, failures: int, random: Callable[[], float], after: float | None = None
    ) -> float:
        """The wait after so many failures in a row, at least what the other side asked for."""
        doublings = min(max(failures - 1, 0), _DOUBLINGS)
        wait: float = min(self.cap, self.first * 2.0**doublings) * (0.5 + 0.5 * random())
        return max(wait, min(after or 0.0, LONGEST_AFTER))
