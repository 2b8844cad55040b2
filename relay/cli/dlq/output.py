"""Output of the `relay dlq` commands: tables, plans, progress, and stopping by a signal."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from time import monotonic
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from relay.dlq.plan import Plan
from relay.dlq.prediction import MEANING
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

_MAX_WIDTH = 60
_MAX_ROWS = 30


def table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> Iterator[str]:
    """The lines, each cell as wide as its column; numbers are aligned to the right."""
    given = list(rows)
    cleaned = [[clean(str(cell)) for cell in row] for row in given]
    widths = [max(map(len, column)) for column in zip(head, *cleaned, strict=True)]
    right = [all(isinstance(row[i], int) for row in given) for i in range(len(head))]
    for cells in (list(head), *cleaned):
        aligned = (
            cell.rjust(width) if number else cell.ljust(width)
            for cell, width, number in zip(cells, widths, right, strict=True)
        )
        yield "  ".join(aligned).rstrip()


def clean(text: str, width: int = _MAX_WIDTH) -> str:
    """The text on one line, cut to a width; escaped first, because an escape is wider."""
    plain = escape(text[:width])
    return plain if len(plain) <= width and len(text) <= width else plain[: width - 1] + "…"


def show(plan: Plan, *, as_json: bool, ledger: bool) -> None:
    """Print the plan of a redrive."""
    if as_json:
        echo_json({"plan": plan.as_json(), "ledger": ledger}, indent=2)
    else:
        echo(*_plan_lines(plan, ledger=ledger))
    echo("relay: nothing was changed; --yes does it", err=True)


def show_drop(plan: Plan, queue: str) -> None:
    """Print the plan of a drop on standard error: only the result goes to standard output."""
    rows = [(name, code, group.selected) for (name, code), group in plan.largest()]
    lines = table(("event", "code", "messages"), rows) if rows else ()
    count = plan.selected + plan.duplicates
    text = [f"{count} of {plan.examined} messages would be deleted from {queue}", *lines]
    echo(*text, err=True)


def _plan_lines(plan: Plan, *, ledger: bool) -> Iterator[str]:
    duplicates = f"; {plan.duplicates} duplicates would only be deleted" if plan.duplicates else ""
    yield f"{plan.selected} of {plan.examined} messages would be redriven{duplicates}"
    if not plan.groups:
        return
    yield ""
    yield from table(("event", "code", "messages", "events", "to", "what happens"), _rows(plan))
    predictions = {one for group in plan.groups.values() for one in group.predictions}
    yield ""
    for prediction in sorted(predictions):
        yield f"{prediction}: {MEANING[prediction]}"
    for code, reason in plan.reasons.items():
        yield f"{code}: {reason}"
    if not ledger:
        yield "without a ledger, predictions follow from age and from what the relay recorded"


def _rows(plan: Plan) -> Iterator[tuple[object, ...]]:
    for (name, code), group in plan.largest()[:_MAX_ROWS]:
        what = [f"{count} {prediction}" for prediction, count in group.predictions.items()]
        what += [f"{count} skipped ({why})" for why, count in group.skipped.items()]
        targets = ", ".join(group.targets) or "-"
        yield name, code, group.selected, group.events, targets, ", ".join(what)


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


class Progress:
    """Progress on standard error: a bar on a terminal, else a JSON line every second.

    `total` is about how many there will be.
    """

    def __init__(self, what: str, *, total: int, clock: Callable[[], float] = monotonic) -> None:
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
            self._bar.update(
                self._bar.task_ids[0],
                completed=done,
                rate=done / seconds,
                total=self._total or None,
            )
        elif now - self._written_at >= EVERY:
            self._written_at = now
            left = max(0, self._total - done) / (done / seconds) if done else None
            line = {"progress": self._what, "done": done, "of": self._total, **more}
            line |= {"rate": round(done / seconds, 1), "seconds_left": left and round(left, 1)}
            echo_json(line, err=True)


def _bar(what: str, total: int) -> Bar:
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
        TextColumn(what),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]:.0f}/s"),
        TimeRemainingColumn(),
        console=open_console(err=True),
        transient=True,
    )
    bar.add_task(what, total=total or None, rate=0.0)
    return bar
