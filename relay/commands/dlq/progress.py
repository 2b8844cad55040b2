"""How far a pass is: a bar for people, JSON lines where standard error is piped."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from time import monotonic
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from rich.progress import Progress as Bar

EVERY = 1.0
"""Seconds between two JSON lines."""


class Progress:
    """Tells counts on standard error. `total` is about how many there will be."""

    def __init__(self, what: str, *, total: int, clock: Callable[[], float] = monotonic) -> None:
        self._what = what
        self._total = total
        self._clock = clock
        self._start = self._told = clock()
        self._bar: Bar | None = None

    def __enter__(self) -> Self:
        """Show the bar, on a terminal."""
        if sys.stderr.isatty():
            self._bar = _bar(self._what, self._total)
            self._bar.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Take it away."""
        if self._bar is not None:
            self._bar.stop()

    def at(self, done: int, **more: Any) -> None:
        """So many are done."""
        now = self._clock()
        seconds = max(now - self._start, 1e-3)
        if self._bar is not None:
            self._bar.update(self._bar.task_ids[0], completed=done, rate=done / seconds)
        elif now - self._told >= EVERY:
            self._told = now
            left = max(0, self._total - done) / (done / seconds) if done else None
            line = {"progress": self._what, "done": done, "of": self._total, **more}
            line |= {"rate": round(done / seconds, 1), "seconds_left": left and round(left, 1)}
            sys.stderr.write(json.dumps(line) + "\n")


def _bar(what: str, total: int) -> Bar:
    # Where nobody watches, its library is not worth loading.
    from rich.console import Console  # noqa: PLC0415 - as said
    from rich.progress import (  # noqa: PLC0415 - the same
        BarColumn,
        MofNCompleteColumn,
        Progress,
        SpinnerColumn,
        TextColumn,
        TimeRemainingColumn,
    )

    bar = Progress(
        SpinnerColumn(),
        TextColumn(what),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]:.0f}/s"),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        transient=True,
    )
    bar.add_task(what, total=total or None, rate=0.0)
    return bar
