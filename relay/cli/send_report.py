"""What `relay send` prints: progress, what was not sent and why, and where the rest went."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from relay.aws.sqs import Queue
from relay.model.message import explain_notice
from relay.ops.sender import WINDOW_MESSAGES, SendCounts
from relay.output.terminal import echo, echo_json, is_terminal

if TYPE_CHECKING:
    from rich.progress import Progress

MAX_ERRORS = 20
"""Documents for which an error is printed, and different notices; the rest is only counted."""


class Reporter:
    """Reports errors and progress on standard error, and the final counts on standard output.

    `started` is a time of the monotonic clock.
    """

    def __init__(self, started: float, *, as_json: bool = False) -> None:
        self._started = started
        self._as_json = as_json
        self._errors = 0
        self._notices = Counter[str]()
        self._bar: Progress | None = None
        self._last = SendCounts()

    def __enter__(self) -> Self:
        """Start the progress display if standard error is a terminal."""
        if is_terminal(err=True):
            self._bar = _progress_bar()
            self._bar.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Stop the progress display."""
        if self._bar is not None:
            self._bar.stop()

    def not_sent(self, where: str, why: str) -> None:
        """Print why a document was not sent, for the first `MAX_ERRORS` documents."""
        self._errors += 1
        if self._errors <= MAX_ERRORS:
            echo(f"relay: {where} was not sent: {why}", err=True)

    def noticed(self, where: str, notice: str) -> None:
        """Print a notice at its first document; the others are only counted."""
        if notice not in self._notices and len(self._notices) == MAX_ERRORS:
            return
        self._notices[notice] += 1
        if self._notices[notice] == 1:
            echo(f"relay: {where}: {explain_notice(notice)}", err=True)

    def progress(self, counts: SendCounts) -> None:
        """Update the progress display."""
        self._last = counts
        if self._bar is not None:
            self._bar.update(self._bar.task_ids[0], completed=counts.sent)

    def interrupted(self) -> None:
        """Print what is in the queue; messages that were in flight may or may not be."""
        last, after = self._last, f" after {self._last.reached}" if self._last.reached else ""
        echo(
            f"relay: interrupted{after}: {last.sent} messages are in the queue, and up to"
            f" {WINDOW_MESSAGES} of the following ones may be",
            err=True,
        )

    def end(self, counts: SendCounts, queue: Queue, now: float) -> None:
        """Print the final counts and warnings."""
        for line in self._warnings(counts):
            echo(f"relay: {line}", err=True)
        seconds = round(now - self._started, 1)
        if self._as_json:
            echo_json(self._document(counts, queue, seconds))
        else:
            echo(f"{_summary(counts, queue)} in {seconds} s")

    def _warnings(self, counts: SendCounts) -> Iterator[str]:
        for notice, count in self._notices.items():
            if count > 1:
                yield f"{count} messages: {explain_notice(notice)}"
        if self._errors > MAX_ERRORS:
            yield f"{self._errors - MAX_ERRORS} more were not sent"
        if counts.stopped:
            rest = (
                f"{counts.stopped_at} and everything after it" if counts.stopped_at else "the rest"
            )
            yield f"stopped, {rest} was not sent: {counts.stopped.sentence}"
        if counts.possible_duplicates:
            yield (
                f"{counts.possible_duplicates} messages may be in the queue twice, because a"
                " response was lost; events with their own id still run once"
            )

    def _document(self, counts: SendCounts, queue: Queue, seconds: float) -> dict[str, Any]:
        return {
            "type": "sent",
            "queue": queue.name,
            "queue_url": queue.url,
            "account": queue.account,
            "endpoint": queue.endpoint,
            "sent": counts.sent,
            "invalid": counts.invalid,
            "failed": counts.failed,
            "possible_duplicates": counts.possible_duplicates,
            "notices": dict(self._notices),
            "stopped": counts.stopped and counts.stopped.sentence,
            "seconds": seconds,
        }


def _summary(counts: SendCounts, queue: Queue) -> str:
    others = {"invalid": counts.invalid, "failed": counts.failed}
    parts = [f"{count} {what}" for what, count in others.items() if count]
    sent = f"{counts.sent} sent to {queue.name} (account {queue.account}, {queue.endpoint})"
    return ", ".join((sent, *parts))


def _progress_bar() -> Progress:
    # Only a terminal needs the library, which is slow to import.
    from rich.progress import (  # noqa: PLC0415 - see above
        Progress,
        SpinnerColumn,
        TextColumn,
        TimeElapsedColumn,
    )

    from relay.output.console import open_console  # noqa: PLC0415 - see above

    bar = Progress(
        SpinnerColumn(),
        TextColumn("{task.completed} sent"),
        TimeElapsedColumn(),
        console=open_console(err=True),
        transient=True,
    )
    bar.add_task("send", total=None)
    return bar
