"""The process: stop signals, the event loop, open files and the garbage collector."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import signal
import sys
import threading
from collections.abc import Callable, Coroutine, Iterator
from importlib import import_module
from types import FrameType
from typing import Any, TypeVar

SIGNALS = (signal.SIGTERM, signal.SIGINT)

OPEN_FILES = 4_096
"""Open files that a relay can use at the most."""

GC_THRESHOLD = 50_000
"""New objects between collections: a few megabytes if all of them were garbage."""

T = TypeVar("T")


@contextlib.contextmanager
def on_stop_signal(stop: Callable[[], None]) -> Iterator[None]:
    """Call `stop` at each SIGTERM and SIGINT, for as long as the block runs.

    Enter it inside a running event loop. Leaving restores the default behaviour.
    """
    loop = asyncio.get_running_loop()
    for number in SIGNALS:
        loop.add_signal_handler(number, stop)
    try:
        yield
    finally:
        for number in SIGNALS:
            loop.remove_signal_handler(number)


@contextlib.contextmanager
def on_hangup(stop: Callable[[], None]) -> Iterator[None]:
    """Survive a SIGHUP for as long as the block runs; from a terminal that closes, call `stop`.

    Programs that rotate logs send it to have files opened again. Ours are opened again without it.
    Enter it inside a running event loop.
    """
    attached = sys.stdin is not None and sys.stdin.isatty()
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGHUP, stop if attached else _nothing)
    try:
        yield
    finally:
        loop.remove_signal_handler(signal.SIGHUP)


def _nothing() -> None:
    """Do nothing."""


@contextlib.contextmanager
def interrupted_at_once() -> Iterator[None]:
    """Let SIGINT raise `KeyboardInterrupt` at once, for as long as the block runs.

    asyncio's own handler cancels a task instead, which a blocking read from a terminal in the
    loop's thread never notices. Does nothing outside the main thread, which gets no signals.
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


async def unless_stopped(stop: asyncio.Event, work: Coroutine[Any, Any, T]) -> T | None:
    """The work's result; None if `stop` was set first, which cancels the work."""
    working = asyncio.create_task(work)
    stopping = asyncio.create_task(stop.wait())
    try:
        await asyncio.wait({working, stopping}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        stopping.cancel()
        working.cancel()
        await asyncio.wait({working, stopping})
    return None if working.cancelled() else working.result()


def run(main: Coroutine[Any, Any, None]) -> None:
    """Run the coroutine as `asyncio.run` does, on uvloop where it is installed."""
    raise_file_limit()
    with asyncio.Runner(loop_factory=new_event_loop) as runner:
        runner.run(main)


def new_event_loop() -> asyncio.AbstractEventLoop:
    """A new event loop, of uvloop where it is installed."""
    try:
        module = import_module("uvloop")
    except ImportError:  # it does not exist for Windows
        return asyncio.new_event_loop()
    loop: asyncio.AbstractEventLoop = module.new_event_loop()
    return loop


def raise_file_limit() -> None:
    """Raise the limit of open files as far as the process may: systems start it with a low one."""
    try:
        resource = import_module("resource")
    except ImportError:  # it does not exist for Windows
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = OPEN_FILES if hard == resource.RLIM_INFINITY else min(hard, OPEN_FILES)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def tune_garbage_collector() -> None:
    """Exclude all existing objects from collection, and collect new ones more rarely."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(GC_THRESHOLD, 10, 10)
