"""`relay send`: send messages from a file to a queue."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from pathlib import Path
from time import monotonic
from typing import Annotated, BinaryIO

import typer

from relay.app.decoding import rules
from relay.aws.errors import AwsError
from relay.aws.publisher import Publisher
from relay.aws.references import elsewhere
from relay.aws.session import Session, open_session
from relay.aws.sqs import Queue, open_queue
from relay.cli.send_report import Reporter
from relay.cli.startup import FAILED, INTERRUPTED, USAGE, EnvFile, fail, load_settings
from relay.envelope.ids import compile_path
from relay.ops.documents import (
    Document,
    InputFormat,
    MessageTemplate,
    UnreadableInput,
    read_documents,
)
from relay.ops.sender import SendCounts, Sender
from relay.process import interrupted_at_once

EXIT_CODES = (
    "Exit codes: 0 every message is in the queue, 1 some or all are not (standard error says"
    " which and why), 2 wrong usage or settings, 130 interrupted."
)

EXAMPLES = """\
relay send events.jsonl --queue orders
jq -c '.[]' export.json | relay send - --queue orders
relay send order.json --queue orders.fifo --group-id customer-7
"""


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
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
    env_file: EnvFile = None,
) -> None:
    """Send messages from a file to a queue.

    JSON lines become one message per line, a JSON array one message per element, and any other
    JSON document one message. Bodies are sent byte for byte. A field that the relay would leave out
    is reported, and so is where the messages went: the queue's account and endpoint.

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
    reporter = Reporter(monotonic(), as_json=as_json)
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
            await _check_endpoint(session, reference, queue)
            template = make_template(queue=queue.name, fifo=queue.fifo)
            _check_fifo_options(queue, template)
            with reporter:
                publisher = Publisher(queue, ordered=queue.fifo)
                counts = await Sender(template, publisher, reporter).run(documents)
    except AwsError as error:
        fail(error.sentence)
    except UnreadableInput as error:
        fail(str(error), code=USAGE)
    reporter.end(counts, queue, monotonic())
    return counts


async def _check_endpoint(session: Session, reference: str, queue: Queue) -> None:
    """Exit if the queue that is called cannot be the one that was named."""
    why = elsewhere(reference, queue.url, queue.endpoint)
    if why is not None:
        source = await session.endpoint_source("sqs")
        where = f", where {source} sends every call: unset it, or" if source else ":"
        fail(f"nothing was sent to {reference}: {why}{where} name another queue", code=USAGE)


def _check_fifo_options(queue: Queue, template: MessageTemplate) -> None:
    if queue.fifo and template.group_id is None:
        fail(f"{queue.name} is a FIFO queue: give the message group with --group-id", code=USAGE)
    if template.dedup_path is not None and not queue.fifo:
        fail(f"--dedup-id-from needs a FIFO queue, which {queue.name} is not", code=USAGE)
