"""SIGTERM and SIGINT, as calls in the event loop."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import signal
import threading
from collections.abc import Callable, Coroutine, Iterator
from importlib import import_module
from types import FrameType
from typing import Any, TypeVar

SIGNALS = (signal.SIGTERM, signal.SIGINT)

T = TypeVar("T")


@contextlib.contextmanager
def on_stop_signal(asked: Callable[[], None]) -> Iterator[None]:
    """Call `asked` at each signal to stop, instead of what the process would do.

    Entered inside a running event loop; outside of the block signals do what they did.
    """
    loop = asyncio.get_running_loop()
    for number in SIGNALS:
        loop.add_signal_handler(number, asked)
    try:
        yield
    finally:
        for number in SIGNALS:
            loop.remove_signal_handler(number)


@contextlib.contextmanager
def interrupted_at_once() -> Iterator[None]:
    """Have SIGINT raise `KeyboardInterrupt` wherever the program is.

    asyncio's own handler cancels a task instead, which a read that waits for a person in the
    loop's thread never notices. Outside of the main thread signals cannot be had, and nothing is
    done.
    """

    def interrupt(_number: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


async def unless_stopped(asked: asyncio.Event, work: Coroutine[Any, Any, T]) -> T | None:
    """The work's result, None where a stop was asked for before it came; it is cancelled then."""
    doing = asyncio.create_task(work)
    stopping = asyncio.create_task(asked.wait())
    try:
        await asyncio.wait({doing, stopping}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        stopping.cancel()
        doing.cancel()
        await asyncio.wait({doing, stopping})
    return None if doing.cancelled() else doing.result()


def run(main: Coroutine[Any, Any, None]) -> None:
    """Run the coroutine to its end, as `asyncio.run` does."""
    try:
        factory = import_module("uvloop").new_event_loop
    except ImportError:  # there is none for Windows
        factory = None
    with asyncio.Runner(loop_factory=factory) as runner:
        runner.run(main)


YOUNG = 50_000
"""Objects made and not freed until the collector looks: a few megabytes, should all be garbage."""


def tune_garbage_collector() -> None:
    """Leave out for good what is there now, and look at the rest more rarely."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(YOUNG, 10, 10)
