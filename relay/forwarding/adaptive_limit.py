"""An adaptive limit: how many requests at once a destination serves without queueing them.

Additive increase, multiplicative decrease, judged a round trip at a time: a round whose mean
latency stays within what is usual, and that used the limit up, raises it by one; a round that was
slower, or in which the destination complained, cuts it. What is usual is a moving mean with its
deviation, so that a destination that is always slow is not taken for an overloaded one.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable

CUT = 0.9
"""What is left of the limit after a slow round. A complaint halves it, as TCP does."""
COMPLAINT = 0.5

WEIGHT = 0.4
"""Of the newest round in the moving mean."""

TOLERANCE = 2.5
"""Deviations above the mean that are still usual."""

SLACK = 0.005
"""Seconds of latency that are never worth a cut: a timer's and a scheduler's noise."""


class AdaptiveLimit:
    """Told of each request's end; `value` is the limit now, from 1 to `most`."""

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
        """Most requests at once."""
        return int(self._limit)

    def ended(self, seconds: float, in_flight: int, *, complained: bool) -> None:
        """A request ended.

        Args:
            seconds: how long it took.
            in_flight: how many there were at its end, itself included.
            complained: the destination asked for less, or did not answer.
        """
        self._ends += 1
        self._spent += seconds
        self._complaints += complained
        self._full = self._full or in_flight >= self.value
        if self._clock() - self._start >= (self._mean or seconds):
            self._judge()

    def _judge(self) -> None:
        latency = self._spent / self._ends
        if self._complaints:
            self._limit = max(1.0, self._limit * COMPLAINT)
        elif self._mean is None or latency <= self._usual():
            self._limit = min(self._most, self._limit + self._full)
        else:
            self._limit = max(1.0, self._limit * CUT)
        if not self._complaints:
            # The latency of a refusal says nothing about that of work.
            self._learn(latency)
        self._begin_round()

    def _usual(self) -> float:
        return (self._mean or 0.0) + TOLERANCE * math.sqrt(self._variance) + SLACK

    def _learn(self, latency: float) -> None:
        if self._mean is None:
            self._mean = latency
            return
        off = latency - self._mean
        self._mean += WEIGHT * off
        self._variance = (1 - WEIGHT) * (self._variance + WEIGHT * off * off)

    def _begin_round(self) -> None:
        self._start = self._clock()
        self._ends = 0
        self._spent = 0.0
        self._complaints = 0
        self._full = False
