"""How far a pass is: a bar for people, JSON lines where standard error is piped."""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from time import monotonic
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import typer

from relay.dlq.plan import Plan
from relay.dlq.prediction import MEANING
from relay.process import on_stop_signal

PARTIAL = 3
"""Some of what was meant is not done; standard output says how much and why."""

STOPPED = 4
"""A guard or a canary stopped it before it did harm."""


_WIDEST = 60


def table(head: Sequence[str], given: Iterable[Sequence[object]]) -> Iterator[str]:
    """The lines, each cell as wide as its column; numbers stand at the right."""
    rows = list(given)
    shown = [[clean(str(cell)) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(head, *shown, strict=True)]
    right = [all(isinstance(row[i], int) for row in rows) for i in range(len(head))]
    for cells in (list(head), *shown):
        parts = (
            cell.rjust(width) if number else cell.ljust(width)
            for cell, width, number in zip(cells, widths, right, strict=True)
        )
        yield "  ".join(parts).rstrip()


def clean(text: str, widest: int = _WIDEST) -> str:
    """The text on one line, cut to a width: an escape sequence must not reach a terminal."""
    plain = printable(text).replace("\n", " ")
    return plain if len(plain) <= widest else plain[: widest - 1] + "…"


def printable(text: str) -> str:
    """The text with every control character but the line break shown as its escape."""
    return "".join(c if c.isprintable() or c == "\n" else f"\\x{ord(c):02x}" for c in text)


_MOST = 30


def show(plan: Plan, *, as_json: bool, ledger: bool) -> None:
    """Print the plan."""
    if as_json:
        typer.echo(json.dumps({"plan": plan.as_json(), "ledger": ledger}, indent=2))
    else:
        typer.echo("\n".join(_told(plan, ledger=ledger)))
    typer.echo("relay: nothing was touched; --yes does it", err=True)


def show_drop(plan: Plan, queue: str) -> None:
    """Print what a drop would take away, on standard error: the end goes to standard output."""
    rows = [(name, code, part.goes) for (name, code), part in plan.largest()]
    lines = table(("event", "code", "messages"), rows) if rows else ()
    count = plan.goes + plan.copies
    text = [f"{count} of {plan.met} messages would be deleted from {queue}", *lines]
    typer.echo("\n".join(text), err=True)


def _told(plan: Plan, *, ledger: bool) -> Iterator[str]:
    copies = f"; {plan.copies} are copies of others and go with them" if plan.copies else ""
    yield f"{plan.goes} of {plan.met} messages would go{copies}"
    if not plan.parts:
        return
    yield ""
    yield from table(("event", "code", "messages", "events", "to", "what happens"), _rows(plan))
    fates = {fate for part in plan.parts.values() for fate in part.fates}
    yield ""
    for fate in sorted(fates):
        yield f"{fate}: {MEANING[fate]}"
    for code, reason in plan.reasons.items():
        yield f"{code}: {reason}"
    if not ledger:
        yield "there is no ledger: what ran is judged by age and by what the relay noted"


def _rows(plan: Plan) -> Iterator[tuple[object, ...]]:
    for (name, code), part in plan.largest()[:_MOST]:
        ends = [f"{n} {fate}" for fate, n in part.fates.items()]
        ends += [f"{n} stays ({why})" for why, n in part.stays.items()]
        yield name, code, part.goes, part.events, ", ".join(part.targets) or "-", ", ".join(ends)


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
