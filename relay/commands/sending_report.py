"""What a person sees of a sending: progress on a terminal, complaints, and a last line."""

from __future__ import annotations

import sys
from types import TracebackType
from typing import TYPE_CHECKING, Self

import typer

from relay.publishing.sending import WINDOW_MESSAGES, Tally

if TYPE_CHECKING:
    from rich.progress import Progress

COMPLAINTS = 20
"""As many as help; a file that is wrong throughout need not fill the screen."""


class Report:
    """Tells a sending on standard error, its end on standard output. `started` is monotonic."""

    def __init__(self, started: float) -> None:
        self._started = started
        self._complaints = 0
        self._bar: Progress | None = None
        self._last = Tally()

    def __enter__(self) -> Self:
        """Start the progress display, on a terminal."""
        if sys.stderr.isatty():
            self._bar = _bar()
            self._bar.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Stop it."""
        if self._bar is not None:
            self._bar.stop()

    def complain(self, where: str, why: str) -> None:
        """Tell about one document that is not in the queue, as long as it is among the first."""
        self._complaints += 1
        if self._complaints <= COMPLAINTS:
            typer.echo(f"relay: {where} was not sent: {why}", err=True)

    def progress(self, tally: Tally) -> None:
        """Show the counts so far."""
        self._last = tally
        if self._bar is not None:
            self._bar.update(self._bar.task_ids[0], completed=tally.sent)

    def interrupted(self) -> None:
        """Say how far it came; what was on its way then may have arrived or not."""
        known, after = self._last, f" after {self._last.reached}" if self._last.reached else ""
        typer.echo(
            f"relay: interrupted{after}: {known.sent} messages are in the queue, and up to"
            f" {WINDOW_MESSAGES} of those that follow may be",
            err=True,
        )

    def end(self, tally: Tally, queue: str, now: float) -> None:
        """Say what became of all."""
        if self._complaints > COMPLAINTS:
            typer.echo(f"relay: and {self._complaints - COMPLAINTS} more like these", err=True)
        if tally.stopped:
            place = f"from {tally.stopped_at} on" if tally.stopped_at else "what follows"
            typer.echo(f"relay: stopped, {place} is not sent: {tally.stopped.sentence}", err=True)
        if tally.doubtful:
            typer.echo(
                f"relay: {tally.doubtful} messages may be in the queue twice, for an answer was"
                " lost; events with an id of their own run once all the same",
                err=True,
            )
        typer.echo(f"{_counts(tally, queue)} in {now - self._started:.1f} s")


def _counts(tally: Tally, queue: str) -> str:
    others = {"refused here": tally.refused, "failed": tally.failed}
    told = [f"{count} {what}" for what, count in others.items() if count]
    return ", ".join((f"{tally.sent} sent to {queue}", *told))


def _bar() -> Progress:
    # Where nobody watches, its library is not worth loading.
    from rich.console import Console  # noqa: PLC0415 - as said
    from rich.progress import (  # noqa: PLC0415 - the same
        Progress,
        SpinnerColumn,
        TextColumn,
        TimeElapsedColumn,
    )

    bar = Progress(
        SpinnerColumn(),
        TextColumn("{task.completed} sent"),
        TimeElapsedColumn(),
        console=Console(stderr=True),
        transient=True,
    )
    bar.add_task("send", total=None)
    return bar
