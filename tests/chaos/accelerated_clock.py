"""Time that runs faster: the shipped clocks of minutes in a test of seconds.

A process in haste has every clock and every timer of its event loop sped up; nothing of the relay
knows. Whoever shares an origin and a speed agrees about the time of day.
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
class Haste:
    """Seconds since the epoch run `speed` times as fast as real ones since `origin`."""

    origin: float
    speed: float

    def time(self) -> float:
        """Tell the time of day. Reads as a clock of the local servers."""
        return self.at(_time())

    async def sleep(self, seconds: float) -> None:
        """Return after so many of its seconds."""
        await asyncio.sleep(max(0.0, seconds) / self.speed)

    def timeout(self, seconds: float) -> asyncio.Timeout:
        """A deadline in its seconds."""
        return asyncio.timeout(seconds / self.speed)

    def at(self, real: float) -> float:
        return self.origin + (real - self.origin) * self.speed

    def take_over(self) -> None:
        """Speed up this process. To be called before anything binds a clock as a default."""
        monotonic, gettime = time.monotonic, time.clock_gettime
        speed = self.speed
        time.time = lambda: self.at(_time())
        time.monotonic = lambda: monotonic() * speed
        time.clock_gettime = lambda clock: gettime(clock) * speed
        setattr(selectors, "DefaultSelector", _hasty(selectors.DefaultSelector, speed))  # noqa: B010 - mypy forbids assigning to a type
        with contextlib.suppress(ImportError):  # there is none for Windows
            uvloop = import_module("uvloop")
            setattr(uvloop, "new_event_loop", _hasty_loop(uvloop.Loop, speed))  # noqa: B010 - as above


def _hasty(kind: type[Any], speed: float) -> Callable[[], selectors.BaseSelector]:
    class Selector(kind):  # type: ignore[misc] # the system's own kind of selector
        def select(self, timeout: float | None = None) -> Any:
            return super().select(timeout if timeout is None else timeout / speed)

    return Selector


def _hasty_loop(kind: type[Any], speed: float) -> type[asyncio.AbstractEventLoop]:
    """The loop that has its own timers: the system's selectors know nothing of them."""

    class Loop(kind):  # type: ignore[misc] # as above
        def time(self) -> float:
            return float(super().time() * speed)

        def call_later(self, delay: float, callback: Any, *args: Any, **more: Any) -> Any:
            return super().call_later(delay / speed, callback, *args, **more)

        def call_at(self, when: float, callback: Any, *args: Any, **more: Any) -> Any:
            return self.call_later(when - self.time(), callback, *args, **more)

    return Loop


_time = time.time
