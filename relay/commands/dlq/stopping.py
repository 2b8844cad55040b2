"""Ctrl-C as a wish: the batch in hand is finished and the rest released."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Iterator

import typer

from relay.stopping import on_stop_signal


@contextlib.contextmanager
def stoppable() -> Iterator[asyncio.Event]:
    """An event that the first signal to stop sets; a second one gets the system's usual answer."""
    stop = asyncio.Event()
    # Only a program's main thread hears signals; within another program there may be none.
    if threading.current_thread() is not threading.main_thread():
        yield stop
        return
    with contextlib.ExitStack() as hearing:

        def asked() -> None:
            stop.set()
            hearing.close()
            typer.echo(
                "relay: stopping: the batch in hand is finished, the rest released", err=True
            )

        hearing.enter_context(on_stop_signal(asked))
        yield stop
