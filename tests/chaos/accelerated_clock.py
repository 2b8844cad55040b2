"""A clock that runs faster than real time, so that timeouts of minutes take seconds in a test.

`take_over` accelerates every clock of a process and every timer of its event loop; the relay does
not notice. Processes with the same origin and speed agree on the time of day.
"""

from __future__ import annotations

import asyncio
import contextlib
import selectors
import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import Any


@dataclass(frozen=True)
class AcceleratedClock:
    """Since `origin`, time runs `speed` times as fast as real time."""

    origin: float
    speed: float

    def time(self) -> float:
        """The accelerated time of day; part of the clock interface of the local servers."""
        return self.at(_time())

    async def sleep(self, seconds: float) -> None:
        """Return after this many accelerated seconds."""
        await asyncio.sleep(max(0.0, seconds) / self.speed)

    def timeout(self, seconds: float) -> asyncio.Timeout:
        """A timeout in accelerated seconds."""
        return asyncio.timeout(seconds / self.speed)

    def at(self, real: float) -> float:
        return self.origin + (real - self.origin) * self.speed

    def take_over(self) -> None:
        """Accelerate this process. Call it before any module binds a clock as a default."""
        monotonic, gettime = time.monotonic, time.clock_gettime
        speed = self.speed
        time.time = lambda: self.at(_time())
        time.monotonic = lambda: monotonic() * speed
        time.clock_gettime = lambda clock: gettime(clock) * speed
        accelerated = _accelerated_selector(selectors.DefaultSelector, speed)
        setattr(selectors, "DefaultSelector", accelerated)  # noqa: B010 - mypy forbids assigning to a type
        with contextlib.suppress(ImportError):  # uvloop is not available on Windows
            uvloop = import_module("uvloop")
            setattr(uvloop, "new_event_loop", _accelerated_loop(uvloop.Loop, speed))  # noqa: B010 - as above


def _accelerated_selector(kind: type[Any], speed: float) -> Callable[[], selectors.BaseSelector]:
    class Selector(kind):  # type: ignore[misc] # the platform's selector class
        def select(self, timeout: float | None = None) -> Any:
            return super().select(timeout if timeout is None else timeout / speed)

    return Selector


def _accelerated_loop(kind: type[Any], speed: float) -> type[asyncio.AbstractEventLoop]:
    """An accelerated uvloop: it has its own timers, which do not use Python's selectors."""

    class Loop(kind):  # type: ignore[misc] # as above
        def time(self) -> float:
            return float(super().time() * speed)

        def call_later(self, delay: float, callback: Any, *args: Any, **more: Any) -> Any:
            return super().call_later(delay / speed, callback, *args, **more)

        def call_at(self, when: float, callback: Any, *args: Any, **more: Any) -> Any:
            return self.call_later(when - self.time(), callback, *args, **more)

    return Loop


_time = time.time
