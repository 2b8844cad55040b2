"""The guard that ends a run when the dead-letter queue fills up again behind it."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable

LAG = 90.0
"""Seconds that SQS's counters may be behind; it says that they settle within a minute."""

FEW = 10
SHARE = 0.1
"""So many, or this share of what was brought, may come back before a person should look."""


class Growth:
    """Compares what the queue holds with what it would hold if nothing had come.

    Args:
        start: how much it held when the run began.
        few: so many newcomers are always let pass.
        lag: seconds after which the counters have surely seen a delete.
        clock: seconds that never go back.
    """

    def __init__(
        self,
        start: int,
        *,
        few: float = FEW,
        lag: float = LAG,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._start = start
        self._few = few
        self._lag = lag
        self._clock = clock
        self._deleted: deque[tuple[float, int]] = deque()
        self._surely = 0

    def problem(self, held: int, deleted: int, brought: int, came: int) -> str | None:
        """Why the run should end, or None.

        Args:
            held: what the counters say that the queue holds.
            deleted: what this run has deleted.
            brought: what it has brought away.
            came: letters met that came after the run began.
        """
        now = self._clock()
        self._deleted.append((now, deleted))
        while self._deleted and self._deleted[0][0] <= now - self._lag:
            self._surely = self._deleted.popleft()[1]
        grown = max(came, held + self._surely - self._start)
        if grown <= max(self._few, SHARE * brought):
            return None
        return (
            f"the dead-letter queue has grown by {grown} messages while {brought} were brought"
            " back: what goes wrong there still does, so mend it first"
        )
