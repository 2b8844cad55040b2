"""An adaptive limit on concurrent requests to a destination, found from latency and errors.

Additive increase, multiplicative decrease, one round trip at a time. A round that used the whole
limit and whose mean latency is normal raises the limit by one. A slower round, or one in which the
destination was overloaded, lowers it. Normal is a moving mean with its deviation, so a destination
that is always slow does not count as overloaded.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable

SLOW_FACTOR = 0.9
"""The limit is multiplied by this after a slow round."""

OVERLOAD_FACTOR = 0.5
"""The limit is multiplied by this after a round with an overload: halved, as TCP does."""

WEIGHT = 0.4
"""The weight of the newest round in the moving mean."""

TOLERANCE = 2.5
"""Standard deviations above the mean that are still normal."""

SLACK = 0.005
"""Seconds of added latency that never lower the limit: timer and scheduler noise."""


class AdaptiveLimit:
    """The limit is `value`, from 1 to `most`. Call `record` at the end of each request."""

    def __init__(
        self, most: int, *, first: int = 2, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._most = most
        self._limit = float(min(first, most))
        self._clock = clock
        self._mean: float | None = None
        self._variance = 0.0
        self._full = False
        self._begin_round()

    @property
    def value(self) -> int:
        """The most concurrent requests."""
        return int(self._limit)

    def record(self, seconds: float, in_flight: int, *, overloaded: bool) -> None:
        """Record the end of a request.

        Args:
            seconds: how long it took.
            in_flight: how many requests there were at its end, this one included.
            overloaded: the destination asked for fewer requests, or did not answer.
        """
        self._requests += 1
        self._total_seconds += seconds
        self._overloads += overloaded
        self._full = self._full or in_flight >= self.value
        if self._clock() - self._start >= (self._mean or seconds):
            self._end_round()

    def _end_round(self) -> None:
        latency = self._total_seconds / self._requests
        if self._overloads:
            self._limit = max(1.0, self._limit * OVERLOAD_FACTOR)
        elif self._mean is None or latency <= self._highest_normal():
            self._limit = min(self._most, self._limit + self._full)
        else:
            self._limit = max(1.0, self._limit * SLOW_FACTOR)
        if not self._overloads:
            # The latency of a rejected request says nothing about the latency of an accepted one.
            self._update_mean(latency)
        self._begin_round()

    def _highest_normal(self) -> float:
        return (self._mean or 0.0) + TOLERANCE * math.sqrt(self._variance) + SLACK

    def _update_mean(self, latency: float) -> None:
        if self._mean is None:
            self._mean = latency
            return
        difference = latency - self._mean
        self._mean += WEIGHT * difference
        self._variance = (1 - WEIGHT) * (self._variance + WEIGHT * difference * difference)

    def _begin_round(self) -> None:
        self._start = self._clock()
        self._requests = 0
        self._total_seconds = 0.0
        self._overloads = 0
        self._full = False
