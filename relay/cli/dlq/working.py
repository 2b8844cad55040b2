"""What a command that takes letters away works with: its directory, its hands, its guard."""

from __future__ import annotations

import itertools
import json
import logging
import math
import shlex
import sys
import time
from collections.abc import Awaitable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

import typer

from relay.aws.errors import QueueError
from relay.cli.dlq.output import PARTIAL, STOPPED, Progress
from relay.cli.dlq.queues import Desk
from relay.cli.startup import USAGE, fail
from relay.dlq.journal import Journal, OtherRun, who
from relay.dlq.leases import Deletion, Holding
from relay.dlq.run import Run
from relay.dlq.safeguards import FEW, Growth, Pace
from relay.dlq.scan import Scan
from relay.dlq.selection import Course, Errand, Tally
from relay.dlq.targets import Road
from relay.settings.model import Settings
from relay.telemetry.log import open_log
from relay.telemetry.redaction import Redactor

L = TypeVar("L")

AUDIT = "relay.dlq.audit"
"""The logger of the one line that says who did what."""


@contextmanager
def journal(
    directory: Path | None,
    desk: Desk,
    kind: str,
    options: Mapping[str, Any],
    *,
    began_at: float | None = None,
) -> Iterator[Journal]:
    """The run's journal for as long as the block runs, in a new directory unless one is named.

    A run that is not taken up began now, or when `began_at` says.
    """
    directory = directory or _new_directory(f"relay-dlq-{kind}-{desk.queue.name}")
    try:
        begin = time.time() if began_at is None else began_at
        told = {"command": kind, **options}
        kept = Journal(directory, desk.head, told, clock=lambda: begin)
    except OtherRun as error:
        fail(str(error), code=USAGE)
    except OSError as error:
        fail(f"{directory} cannot be written: {error.strerror}", code=USAGE)
    try:
        yield kept
    except BaseException:
        with suppress(OSError):  # what ended the block is the thing to tell
            kept.close()
        raise
    try:
        kept.close()
    except OSError as error:
        fail(_unwritten(kept, error))


def _new_directory(stem: str) -> Path:
    """A name that nobody has, in the current directory."""
    stamp = datetime.now(UTC).strftime("%Y%m%d-%H%M%S")
    names = itertools.chain([stamp], (f"{stamp}-{number}" for number in itertools.count(2)))
    return next(path for name in names if not (path := Path(f"{stem}-{name}")).exists())


async def carry_out(
    desk: Desk,
    kept: Journal,
    road: Road[L],
    errand: Errand,
    course: Course,
    *,
    wait: float,
    lease: float,
    rate: float | None = None,
) -> Tally:
    """One pass that does the errand, shown while it goes."""
    holding = Holding(desk.queue, lease)
    deletion = Deletion(desk.queue, holding, kept)
    scan = Scan(
        desk.queue,
        lease=lease,
        wait=wait,
        ours=lambda: len(holding),
        stop=course.ended,
        deleted=lambda: deletion.count,
    )
    # Nothing comes back because letters were dropped.
    guard = Growth(desk.count, few=math.inf if errand.each else FEW)
    run = Run(desk.queue, scan, deletion, kept, road, errand, course, guard)
    total = min(desk.count, errand.limit or desk.count)
    with Progress("brought", total=total) as progress:
        going = run.carry_out(
            Pace(rate, stop=course.stop),
            lambda tally: progress.at(tally.brought, deleted=tally.deleted),
        )
        return await ended(going, run.tally, kept)


async def ended(going: Awaitable[Tally], tally: Tally, kept: Journal) -> Tally:
    """How it went, with the sentence of what ended it early if anything did."""
    try:
        return await going
    except QueueError as error:
        tally.failed = error.sentence
    except OSError as error:
        tally.failed = _unwritten(kept, error)
    return tally


def conclude(tally: Tally, kept: Journal, *, as_json: bool, done: str) -> None:
    """Say what became of all, and exit with the code for it."""
    machine = as_json or not sys.stdout.isatty()
    if machine:
        line = {"end": done, "journal": str(kept.directory), **tally.as_json()}
        typer.echo(json.dumps(line))
    else:
        _tell(tally, kept, done)
    if tally.failed is not None:
        _resume(kept)
        fail(tally.failed)
    if tally.stopped is not None:
        typer.echo(f"relay: stopped: {tally.stopped}", err=True)
        raise typer.Exit(STOPPED)
    if not tally.complete:
        _complain(tally, reasons=machine)
        if tally.owed or tally.interrupted:
            _resume(kept)
        raise typer.Exit(PARTIAL)


def audit(
    settings: Settings, kept: Journal, kind: str, options: Mapping[str, Any], tally: Tally
) -> None:
    """Log who did what to which queue, when, and how it ended; the journal keeps it too."""
    line = {
        "audit": f"dlq {kind}",
        "by": who(),
        "at": datetime.fromtimestamp(time.time(), UTC).isoformat(timespec="seconds"),
        "run": kept.id,
        "journal": str(kept.directory.resolve()),
        **{name: value for name, value in options.items() if value},
        **tally.as_json(),
    }
    with suppress(OSError):  # a disk that is full has been told of
        kept.note(audit=line)
    with open_log(
        service=settings.service,
        form=settings.log_format,
        file=Path(settings.log_file) if settings.log_file else None,
        redactor=Redactor(()),  # a line of our own making, with no secret in it
        screen=sys.stderr,
    ):
        logging.getLogger(AUDIT).info("%s", json.dumps(line))


def _unwritten(kept: Journal, error: OSError) -> str:
    return f"the journal in {kept.directory} cannot be written: {error.strerror or error}"


def _tell(tally: Tally, kept: Journal, done: str) -> None:
    copies = f", {tally.copies} copies of them deleted" if tally.copies else ""
    typer.echo(f"{tally.brought} {done}{copies}, {tally.deleted} gone from the queue")
    for code, count in tally.stays.most_common():
        typer.echo(f"{count} stay: {code}: {tally.reasons[code]}")
    typer.echo(f"journal and backup: {kept.directory}")


def _complain(tally: Tally, *, reasons: bool) -> None:
    """Say what is left, with the reasons why letters stay where they have not been told."""
    if tally.owed:
        typer.echo(
            f"relay: {tally.owed} are brought and not deleted yet: SQS did not agree, or the lease"
            " ran out; they come again and are then only deleted",
            err=True,
        )
    if tally.missing:
        typer.echo(
            f"relay: {tally.missing} of the messages in the snapshot are not in the queue: somebody"
            " brought them back or dropped them, or SQS deleted them",
            err=True,
        )
    if tally.out_of_reach:
        typer.echo(f"relay: {tally.out_of_reach} were not to be had: {tally.why}", err=True)
    for code, reason in tally.as_json()["reasons"].items() if reasons else ():
        typer.echo(f"relay: {tally.stays[code]} stay, {code}: {reason}", err=True)


def _resume(kept: Journal) -> None:
    """How to go on. A second run with the same journal repeats nothing that was noted."""
    words: Sequence[str] = ["relay", *_without_journal(sys.argv[1:])]
    line = shlex.join([*words, "--journal", str(kept.directory)])
    typer.echo(f"relay: to go on where this ended: {line}", err=True)


def _without_journal(words: Sequence[str]) -> list[str]:
    kept, skip = [], False
    for word in words:
        if not skip and word != "--journal" and not word.startswith("--journal="):
            kept.append(word)
        skip = word == "--journal"
    return kept
