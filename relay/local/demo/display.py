"""What a person sees of the demonstration: its progress, and the books at the end."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from rich.console import Console
from rich.table import Table

from relay.local.demo.reconciliation import Reconciliation


@dataclass(frozen=True, slots=True)
class Progress:
    """How far it is: messages published of all, events accepted, dead letters, still queued."""

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
    """Prints to `console`: a line that is redrawn on a terminal, a line a second elsewhere."""

    def __init__(self, console: Console, clock: Callable[[], float]) -> None:
        self._console = console
        self._clock = clock
        self._start = clock()
        self._printed = float("-inf")

    @property
    def seconds(self) -> float:
        """Since the show began."""
        return self._clock() - self._start

    def say(self, sentence: str) -> None:
        """Something happened."""
        self._clear()
        self._console.print(f"{self.seconds:5.1f} s  {sentence}", highlight=False, soft_wrap=True)

    def progress(self, progress: Progress) -> None:
        """It goes on; called as often as one likes."""
        if self._console.is_terminal:
            self._console.print(f"{self.seconds:5.1f} s  {progress}", end="\r", highlight=False)
        elif self.seconds - self._printed >= 1:
            self._printed = self.seconds
            self._console.print(
                f"{self.seconds:5.1f} s  {progress}", highlight=False, soft_wrap=True
            )

    def result(self, balance: Reconciliation) -> None:
        """The tables at the end."""
        self._clear()
        self._console.print(_counted("Published", "kind", sorted(balance.kinds.items())))
        self._console.print(_counted("Dead letters", "code", sorted(balance.codes.items())))
        self._console.print(_books(balance))
        for complaint in balance.unexplained[:20]:
            self._console.print(
                f"[bold red]unexplained[/] {complaint}", highlight=False, soft_wrap=True
            )

    def _clear(self) -> None:
        if self._console.is_terminal:
            self._console.print(" " * (self._console.width - 1), end="\r")


def _counted(title: str, of: str, rows: Iterable[tuple[str, int]]) -> Table:
    table = Table(title=title, title_justify="left")
    table.add_column(of)
    table.add_column("count", justify="right")
    for name, count in rows:
        table.add_row(name, f"{count:,}")
    return table


def _books(balance: Reconciliation) -> Table:
    table = Table(title="The books, in events by id", title_justify="left")
    table.add_column("record")
    table.add_column("events", justify="right")
    rows = [
        ("published, repeats included", balance.published, False),
        ("different events", balance.unique, False),
        ("accepted under one id", balance.ran, False),
        ("in the dead-letter queue with a reason", balance.dead_lettered, False),
        ("lost", balance.lost, balance.lost > 0),
        ("run twice by a function", balance.ran_twice, balance.ran_twice > 0),
        ("left in the queue", balance.in_queue, balance.in_queue > 0),
    ]
    wrong_order = balance.out_of_order
    if wrong_order is not None:
        rows.append(("accepted out of their group's order", wrong_order, wrong_order > 0))
    for name, count, wrong in rows:
        table.add_row(name, f"{count:,}", style="bold red" if wrong else None)
    return table
