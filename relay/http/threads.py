"""Blocking calls in threads of their own, which hold up neither the event loop nor its end."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def start_in_thread(call: Callable[[], T], name: str) -> asyncio.Future[T]:
    """Start a blocking call in a daemon thread; the future has its result or its exception.

    The event loop's own threads are few, and the process waits for them when it ends. A call that
    hangs would take one of them, and would delay the end of the process.
    """
    loop = asyncio.get_running_loop()
    future: asyncio.Future[T] = loop.create_future()

    def succeed(found: T) -> None:
        if not future.done():
            future.set_result(found)

    def fail(error: BaseException) -> None:
        if not future.done():
            future.set_exception(error)
            future.exception()  # perhaps nobody waits any more

    def run() -> None:
        with contextlib.suppress(RuntimeError):  # the loop may have ended
            try:
                found = call()
            except Exception as error:  # noqa: BLE001 - raised again where it is awaited
                loop.call_soon_threadsafe(fail, error)
            else:
                loop.call_soon_threadsafe(succeed, found)

    threading.Thread(target=run, name=name, daemon=True).start()
    return future
