"""Counts the work of a call, to show that it grows no faster than its input. No clocks."""

from __future__ import annotations

import gc
import sys
import tracemalloc
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Work:
    """The calls of functions, Python's and C's, and the most bytes allocated at a time."""

    calls: int
    peak: int


def work_of(call: Callable[[], object]) -> Work:
    """The work of a call that has been made once before, so that caches are filled."""
    call()
    return Work(_calls(call), _peak(call))


def assert_linear(make: Callable[[int], Callable[[], object]], pieces: int) -> None:
    """Assert that twice the input is at most about twice the work.

    `make` returns the call for an input of so many pieces.
    """
    small, large = work_of(make(pieces)), work_of(make(2 * pieces))
    assert large.calls <= 2.1 * small.calls + 500, (small, large)
    assert large.peak <= 2.5 * small.peak + 1_000_000, (small, large)


def _calls(call: Callable[[], object]) -> int:
    count = 0

    def count_call(_frame: Any, event: str, _arg: Any) -> None:
        nonlocal count
        if event in ("call", "c_call"):
            count += 1

    before = sys.getprofile()
    gc.disable()  # finalizers of other tests are no work of this call
    sys.setprofile(count_call)
    try:
        call()
    finally:
        sys.setprofile(before)
        gc.enable()
    return count


def _peak(call: Callable[[], object]) -> int:
    tracemalloc.start()
    try:
        call()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
