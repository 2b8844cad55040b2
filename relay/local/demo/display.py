"""The terminal output of the demo: progress while it runs, and the result tables at the end."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from rich.console import Console
from rich.control import Control
from rich.segment import ControlType
from rich.table import Table

from relay.local.demo.reconciliation import Reconciliation
from relay.output.console import safe_text

_MOST_VIOLATIONS = 20
_LINE_START = Control(ControlType.CARRIAGE_RETURN)


@dataclass(frozen=True, slots=True)
class Progress:
    """Messages published, of how many; events accepted; dead letters; messages still queued."""

    published: int
    messages: int
    accepted: int
    dead: int
    queued: int

    def __str__(self) -> str:
        """One line."""
        return (
            f"published {self.published:>5,} of {self.messages:,}   accepted {self.accepted:>5,}"
            f"   dead letters {self.dead:>4,}   in the queue {self.queued:>5,}"
        )


class Display:
    """Prints to `console`. Progress is one line, redrawn on a terminal, else a line per second."""

    def __init__(self, console: Console, clock: Callable[[], float]) -> None:
        self._console = console
        self._clock = clock
        self._start = clock()
        self._printed = float("-inf")

    @property
    def seconds(self) -> float:
        """Seconds since this display was created."""
        return self._clock() - self._start

    def say(self, sentence: str) -> None:
        """Print a line that stays."""
        self._clear()
        self._console.print(f"{self.seconds:5.1f} s  {sentence}", soft_wrap=True)

    def progress(self, progress: Progress) -> None:
        """Show the progress. May be called at any rate."""
        if self._console.is_terminal:
            self._console.print(f"{self.seconds:5.1f} s  {progress}", end="")
            self._console.control(_LINE_START)
        elif self.seconds - self._printed >= 1:
            self._printed = self.seconds
            self._console.print(f"{self.seconds:5.1f} s  {progress}", soft_wrap=True)

    def result(self, found: Reconciliation) -> None:
        """Print the tables at the end, and the first unexplained findings."""
        self._clear()
        self._console.print(_counts("Published", "kind", sorted(found.kinds.items())))
        self._console.print(_counts("Dead letters", "code", sorted(found.codes.items())))
        self._console.print(_reconciliation(found))
        for violation in found.unexplained[:_MOST_VIOLATIONS]:
            self._console.print(
                safe_text("unexplained", "bold red") + safe_text(f" {violation}"), soft_wrap=True
            )

    def _clear(self) -> None:
        if self._console.is_terminal:
            self._console.print(" " * (self._console.width - 1), end="")
            self._console.control(_LINE_START)


def _counts(title: str, column: str, rows: Iterable[tuple[str, int]]) -> Table:
    table = Table(title=title, title_justify="left")
    table.add_column(column)
    table.add_column("count", justify="right")
    for name, count in rows:
        table.add_row(name, f"{count:,}")
    return table


def _reconciliation(found: Reconciliation) -> Table:
    table = Table(title="Reconciliation, in events by id", title_justify="left")
    table.add_column("record")
    table.add_column("events", justify="right")
    rows = [
        ("published, repeats included", found.published, False),
        ("different events", found.unique, False),
        ("accepted under one id", found.ran, False),
        ("in the dead-letter queue with a reason", found.dead_lettered, False),
        ("lost", found.lost, found.lost > 0),
        ("run twice by a function", found.ran_twice, found.ran_twice > 0),
        ("left in the queue", found.in_queue, found.in_queue > 0),
    ]
    out_of_order = found.out_of_order
    if out_of_order is not None:
        rows.append(("accepted out of order within their group", out_of_order, out_of_order > 0))
    if found.unconfirmed is not None:
        rows.insert(1, ("not confirmed to their sender", found.unconfirmed, False))
        rows.insert(2, ("of these accepted all the same", found.unconfirmed_ran or 0, False))
    for name, count, wrong in rows:
        table.add_row(name, f"{count:,}", style="bold red" if wrong else None)
    return table
