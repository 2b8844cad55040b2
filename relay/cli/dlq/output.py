"""Progress of the `relay dlq` commands, and stopping them by a signal."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable, Iterator, Mapping
from time import monotonic
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from relay.cli.dlq.queues import warn
from relay.dlq.watch import Watch
from relay.output.terminal import echo, echo_json, escape, is_terminal
from relay.process import on_stop_signal

if TYPE_CHECKING:
    from rich.progress import Progress as Bar

PARTIAL = 3
"""Exit code: some of what was selected is not done; the output says how much and why."""

STOPPED = 4
"""Exit code: a guard or a canary stopped the command before it did harm."""

EVERY = 1.0
"""Seconds between two JSON lines of progress."""


@contextlib.contextmanager
def stoppable(
    ends: str = "the batch in flight is finished, the rest is released",
) -> Iterator[asyncio.Event]:
    """An event that the first stop signal sets; a second one has the system's default effect.

    `ends` tells the user how the command ends.
    """
    stop = asyncio.Event()
    # Signals reach only a program's main thread; embedded in another program this may not be it.
    if threading.current_thread() is not threading.main_thread():
        yield stop
        return
    with contextlib.ExitStack() as listening:

        def on_signal() -> None:
            stop.set()
            listening.close()
            echo(f"relay: stopping: {ends}", err=True)

        listening.enter_context(on_stop_signal(on_signal))
        yield stop


@contextlib.contextmanager
def watching() -> Iterator[Watch]:
    """What an operation reports to: standard error, and the signals that stop it."""
    with stoppable() as stop:
        yield Watch(stop, Progress, warn)


class Progress:
    """Progress on standard error: a bar on a terminal, else a JSON line every second.

    `total` is about how many there will be, None if it is not known: the bar then shows how much
    of the queue was received.
    """

    def __init__(
        self, what: str, *, total: int | None, clock: Callable[[], float] = monotonic
    ) -> None:
        self._what = what
        self._total = total
        self._clock = clock
        self._start = self._written_at = clock()
        self._bar: Bar | None = None

    def __enter__(self) -> Self:
        """Show the bar on a terminal."""
        if is_terminal(err=True):
            self._bar = _bar(self._what, self._total)
            self._bar.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Remove the bar."""
        if self._bar is not None:
            self._bar.stop()

    def at(self, done: int, *, total: int | None = None, **more: Any) -> None:
        """Report that so many are done, of `total` if that is known better by now."""
        now = self._clock()
        self._total = self._total if total is None else total
        seconds = max(now - self._start, 1e-3)
        if self._bar is not None:
            self._update_bar(self._bar, done, done / seconds, more)
        elif now - self._written_at >= EVERY:
            self._written_at = now
            known = done and self._total is not None
            left = max(0, (self._total or 0) - done) / (done / seconds) if known else None
            line = {"type": "progress", "progress": self._what, "done": done, "of": self._total}
            line |= more
            line |= {"rate": round(done / seconds, 1), "seconds_left": left and round(left, 1)}
            echo_json(line, err=True)

    def _update_bar(self, bar: Bar, done: int, rate: float, more: Mapping[str, Any]) -> None:
        task = bar.task_ids[0]
        if self._total is None and "received" in more:
            bar.update(
                task,
                description=f"{done} {self._what}; received",
                completed=more["received"],
                total=more.get("queue"),
                rate=rate,
            )
        else:
            bar.update(task, completed=done, total=self._total, rate=rate)


def _bar(what: str, total: int | None) -> Bar:
    # Loaded only for a terminal: the library is slow to import.
    from rich.progress import (  # noqa: PLC0415 - see above
        BarColumn,
        MofNCompleteColumn,
        Progress,
        SpinnerColumn,
        TextColumn,
        TimeRemainingColumn,
    )

    from relay.output.console import open_console  # noqa: PLC0415 - see above

    bar = Progress(
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]:.0f}/s"),
        TimeRemainingColumn(),
        console=open_console(err=True),
        transient=True,
    )
    bar.add_task(escape(what), total=total or None, rate=0.0)
    return bar
