"""`relay send`: send messages from a file to a queue."""

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
from relay.output.terminal import echo, is_terminal
from relay.process import interrupted_at_once

if TYPE_CHECKING:
    from rich.progress import Progress

EXIT_CODES = (
    "Exit codes: 0 every message is in the queue, 1 some or all are not (standard error says"
    " which and why), 2 wrong usage or settings, 130 interrupted."
)

EXAMPLES = """\
relay send events.jsonl --queue orders
jq -c '.[]' export.json | relay send - --queue orders
relay send order.json --queue orders.fifo --group-id customer-7
"""

MAX_ERRORS = 20
"""Documents for which an error is printed; the rest is only counted."""


def command(  # noqa: PLR0913 - a parameter for each option
    source: Annotated[
        str, typer.Argument(metavar="FILE", help="The file to send; - reads standard input.")
    ],
    *,
    queue: Annotated[
        str | None,
        typer.Option(metavar="QUEUE", help="Queue URL, ARN or name; default RELAY_QUEUE_URL."),
    ] = None,
    lines: Annotated[
        bool, typer.Option("--lines", help="Send each line unchanged, JSON or not.")
    ] = False,
    whole: Annotated[
        bool, typer.Option("--whole", help="Send the whole file as one message.")
    ] = False,
    check: Annotated[
        bool,
        typer.Option("--check/--no-check", help="Skip messages that the relay would reject."),
    ] = True,
    attribute: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=VALUE", help="Attribute added to every message. Repeatable."),
    ] = None,
    group_id: Annotated[
        str | None,
        typer.Option(metavar="GROUP", help="Message group id; required for a FIFO queue."),
    ] = None,
    dedup_id_from: Annotated[
        str | None,
        typer.Option(
            metavar="JMESPATH",
            help="FIFO deduplication id, read from the body; by default a new one per message.",
        ),
    ] = None,
    env_file: EnvFile = None,
) -> None:
    """Send messages from a file to a queue.

    JSON lines become one message per line, a JSON array one message per element, and any other
    JSON document one message. Bodies are sent byte for byte.

    Messages are sent in batches, and temporary errors are retried. If a response from SQS is lost,
    a message may be in the queue twice; events with their own id still run once. On a FIFO queue
    nothing is sent after a message that failed.
    """
    settings = load_settings(env_file)
    if lines and whole:
        fail("--lines and --whole cannot be combined", code=USAGE)
    form: InputFormat = "lines" if lines else "whole" if whole else "auto"
    reference = queue or settings.queue_url
    if reference is None:
        fail("no queue given: use --queue or set RELAY_QUEUE_URL", code=USAGE)
    template = partial(
        MessageTemplate,
        rules=rules(settings) if check else None,
        attributes=_attributes(attribute or ()),
        group_id=group_id,
        dedup_path=_path(dedup_id_from),
    )
    reporter = Reporter(monotonic())
    try:
        with _open(source) as stream, interrupted_at_once():
            counts = asyncio.run(_send(read_documents(stream, form), reference, template, reporter))
    except KeyboardInterrupt:
        reporter.interrupted()
        raise typer.Exit(INTERRUPTED) from None
    if not counts.complete:
        raise typer.Exit(FAILED)


def _attributes(given: Sequence[str]) -> dict[str, str]:
    pairs = [text.partition("=") for text in given]
    for name, _, value in pairs:
        if not name or not value:
            fail("--attribute takes NAME=VALUE; neither may be empty", code=USAGE)
    return {name: value for name, _, value in pairs}


def _path(text: str | None) -> str | None:
    try:
        return text and compile_path(text) and text
    except ValueError as error:
        fail(f"--dedup-id-from: {error}", code=USAGE)


def _open(source: str) -> AbstractContextManager[BinaryIO]:
    if source == "-":
        return nullcontext(sys.stdin.buffer)
    try:
        return Path(source).open("rb")
    except OSError as error:
        fail(f"{source} cannot be read: {error.strerror}", code=USAGE)


async def _send(
    documents: Iterable[Document],
    reference: str,
    make_template: Callable[..., MessageTemplate],
    reporter: Reporter,
) -> SendCounts:
    """Send and report. Exits if the queue or the input cannot be used at all."""
    try:
        async with open_session() as session, open_queue(session, reference) as queue:
            template = make_template(queue=queue.name, fifo=queue.fifo)
            _check_fifo_options(queue, template)
            with reporter:
                publisher = Publisher(queue, ordered=queue.fifo)
                counts = await Sender(template, publisher, reporter).run(documents)
    except AwsError as error:
        fail(error.sentence)
    except UnreadableInput as error:
        fail(str(error), code=USAGE)
    reporter.end(counts, queue.name, monotonic())
    return counts


def _check_fifo_options(queue: Queue, template: MessageTemplate) -> None:
    if queue.fifo and template.group_id is None:
        fail(f"{queue.name} is a FIFO queue: give the message group with --group-id", code=USAGE)
    if template.dedup_path is not None and not queue.fifo:
        fail(f"--dedup-id-from needs a FIFO queue, which {queue.name} is not", code=USAGE)


class Reporter:
    """Reports errors and progress on standard error, and the final counts on standard output.

    `started` is a time of the monotonic clock.
    """

    def __init__(self, started: float) -> None:
        self._started = started
        self._errors = 0
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

    def end(self, counts: SendCounts, queue: str, now: float) -> None:
        """Print the final counts and warnings."""
        if self._errors > MAX_ERRORS:
            echo(f"relay: {self._errors - MAX_ERRORS} more were not sent", err=True)
        if counts.stopped:
            rest = (
                f"{counts.stopped_at} and everything after it" if counts.stopped_at else "the rest"
            )
            echo(f"relay: stopped, {rest} was not sent: {counts.stopped.sentence}", err=True)
        if counts.possible_duplicates:
            echo(
                f"relay: {counts.possible_duplicates} messages may be in the queue twice, because a"
                " response was lost; events with their own id still run once",
                err=True,
            )
        echo(f"{_summary(counts, queue)} in {now - self._started:.1f} s")


def _summary(counts: SendCounts, queue: str) -> str:
    others = {"invalid": counts.invalid, "failed": counts.failed}
    parts = [f"{count} {what}" for what, count in others.items() if count]
    return ", ".join((f"{counts.sent} sent to {queue}", *parts))


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
