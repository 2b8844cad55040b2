"""`relay send`: messages from a file to a queue."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from pathlib import Path
from time import monotonic
from types import TracebackType
from typing import TYPE_CHECKING, Annotated, BinaryIO, Self

import typer

from relay.app.decoding import rules
from relay.aws.errors import AwsError
from relay.aws.publisher import Publisher
from relay.aws.session import open_session
from relay.aws.sqs import Queue, open_queue
from relay.cli.startup import FAILED, INTERRUPTED, USAGE, EnvFile, fail, load_settings
from relay.envelope.ids import compile_path
from relay.ops.documents import (
    Document,
    InputFormat,
    MessageTemplate,
    UnreadableInput,
    read_documents,
)
from relay.ops.sender import WINDOW_MESSAGES, SendCounts, Sender
from relay.process import interrupted_at_once

EXIT_CODES = (
    "Exit codes: 0 every message is in the queue, 1 some or all are not (standard error says"
    " which, and why), 2 wrong usage or settings."
)


def command(  # noqa: PLR0913 - a parameter for each option
    source: Annotated[
        str, typer.Argument(metavar="FILE", help="The file to read; - is standard input.")
    ],
    *,
    queue: Annotated[
        str | None,
        typer.Option(metavar="QUEUE", help="URL, ARN or name; RELAY_QUEUE_URL if not given."),
    ] = None,
    lines: Annotated[
        bool, typer.Option("--lines", help="Send each line as it is, JSON or not.")
    ] = False,
    whole: Annotated[
        bool, typer.Option("--whole", help="Send all of the file as one message.")
    ] = False,
    check: Annotated[
        bool, typer.Option("--check/--no-check", help="Hold back what the relay would reject.")
    ] = True,
    attribute: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=VALUE", help="Message attribute of every message; repeatable."),
    ] = None,
    group_id: Annotated[
        str | None,
        typer.Option(metavar="GROUP", help="Message group of every message; FIFO needs one."),
    ] = None,
    dedup_id_from: Annotated[
        str | None,
        typer.Option(
            metavar="JMESPATH",
            help="Where in a body its FIFO deduplication id is; else each gets a new one.",
        ),
    ] = None,
    env_file: EnvFile = None,
) -> None:
    """Send messages from a file to a queue.

    A file with a JSON value on each of several lines becomes a message per line, a JSON array a
    message per element, and any other JSON document one message. Bodies are sent byte for byte.

    Messages go in batches; what SQS refuses for now is sent again. After a lost answer a message
    may be in the queue twice: events with an id of their own run once all the same. On a FIFO queue
    nothing is sent after a message that failed.
    """
    settings = load_settings(env_file)
    if lines and whole:
        fail("--lines and --whole exclude each other: choose one", code=USAGE)
    form: InputFormat = "lines" if lines else "whole" if whole else "auto"
    reference = queue or settings.queue_url
    if reference is None:
        fail("no queue is named: use --queue, or set RELAY_QUEUE_URL", code=USAGE)
    draft = partial(
        MessageTemplate,
        rules=rules(settings) if check else None,
        attributes=_attributes(attribute or ()),
        group_id=group_id,
        dedup_path=_path(dedup_id_from),
    )
    report = Report(monotonic())
    try:
        with _opened(source) as stream, interrupted_at_once():
            tally = asyncio.run(_send(read_documents(stream, form), reference, draft, report))
    except KeyboardInterrupt:
        report.interrupted()
        raise typer.Exit(INTERRUPTED) from None
    if not tally.complete:
        raise typer.Exit(FAILED)


def _attributes(given: Sequence[str]) -> dict[str, str]:
    pairs = [text.partition("=") for text in given]
    for name, _, value in pairs:
        if not name or not value:
            fail("--attribute takes NAME=VALUE, and neither may be empty", code=USAGE)
    return {name: value for name, _, value in pairs}


def _path(text: str | None) -> str | None:
    try:
        return text and compile_path(text) and text
    except ValueError as error:
        fail(f"--dedup-id-from: {error}", code=USAGE)


def _opened(source: str) -> AbstractContextManager[BinaryIO]:
    if source == "-":
        return nullcontext(sys.stdin.buffer)
    try:
        return Path(source).open("rb")
    except OSError as error:
        fail(f"{source} cannot be read: {error.strerror}", code=USAGE)


async def _send(
    documents: Iterable[Document],
    reference: str,
    draft: Callable[..., MessageTemplate],
    report: Report,
) -> SendCounts:
    """Send and report. Ends the command where the queue or the input cannot be used at all."""
    try:
        async with open_session() as session, open_queue(session, reference) as queue:
            whole = draft(queue=queue.name, fifo=queue.fifo)
            _check_kind(queue, whole)
            with report:
                publisher = Publisher(queue, ordered=queue.fifo)
                tally = await Sender(whole, publisher, report).run(documents)
    except AwsError as error:
        fail(error.sentence)
    except UnreadableInput as error:
        fail(str(error), code=USAGE)
    report.end(tally, queue.name, monotonic())
    return tally


def _check_kind(queue: Queue, draft: MessageTemplate) -> None:
    if queue.fifo and draft.group_id is None:
        fail(f"{queue.name} is a FIFO queue: name the group with --group-id", code=USAGE)
    if draft.dedup_path is not None and not queue.fifo:
        fail(f"{queue.name} is no FIFO queue and takes no --dedup-id-from", code=USAGE)


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
        self._last = SendCounts()

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

    def progress(self, tally: SendCounts) -> None:
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

    def end(self, tally: SendCounts, queue: str, now: float) -> None:
        """Say what became of all."""
        if self._complaints > COMPLAINTS:
            typer.echo(f"relay: and {self._complaints - COMPLAINTS} more like these", err=True)
        if tally.stopped:
            place = f"from {tally.stopped_at} on" if tally.stopped_at else "what follows"
            typer.echo(f"relay: stopped, {place} is not sent: {tally.stopped.sentence}", err=True)
        if tally.possible_duplicates:
            typer.echo(
                f"relay: {tally.possible_duplicates} messages may be in the queue twice, for an"
                " answer was lost; events with an id of their own run once all the same",
                err=True,
            )
        typer.echo(f"{_counts(tally, queue)} in {now - self._started:.1f} s")


def _counts(tally: SendCounts, queue: str) -> str:
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
