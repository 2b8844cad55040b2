"""SIGTERM and SIGINT, as calls in the event loop."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import Callable, Iterator

SIGNALS = (signal.SIGTERM, signal.SIGINT)


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
