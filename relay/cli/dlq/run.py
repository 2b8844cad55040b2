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

from relay.aws.errors import AwsError
from relay.cli.dlq.output import PARTIAL, STOPPED, Progress
from relay.cli.dlq.queues import QueuePair
from relay.cli.startup import USAGE, fail
from relay.dlq.journal import Journal, JournalConflict, who
from relay.dlq.leases import Deleter, Leases
from relay.dlq.run import Run
from relay.dlq.safeguards import FEW, GrowthGuard, RateLimit
from relay.dlq.scan import Scan
from relay.dlq.selection import Counts, RunControl, Selection
from relay.dlq.targets import Target
from relay.settings.model import Settings
from relay.telemetry.log import open_log
from relay.telemetry.redaction import Redactor

L = TypeVar("L")

AUDIT = "relay.dlq.audit"
"""The logger of the one line that says who did what."""


@contextmanager
def journal(
    directory: Path | None,
    desk: QueuePair,
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
    except JournalConflict as error:
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


async def execute(
    desk: QueuePair,
    kept: Journal,
    road: Target[L],
    selection: Selection,
    control: RunControl,
    *,
    wait: float,
    lease: float,
    rate: float | None = None,
) -> Counts:
    """One pass that does the errand, shown while it goes."""
    leases = Leases(desk.queue, lease)
    deletion = Deleter(desk.queue, leases, kept)
    scan = Scan(
        desk.queue,
        lease=lease,
        wait=wait,
        held_count=lambda: len(leases),
        stop=control.ended,
        deleted=lambda: deletion.count,
    )
    # Nothing comes back because letters were dropped.
    guard = GrowthGuard(desk.count, few=math.inf if selection.each else FEW)
    run = Run(desk.queue, scan, deletion, kept, road, selection, control, guard)
    total = min(desk.count, selection.limit or desk.count)
    with Progress("brought", total=total) as progress:
        going = run.execute(
            RateLimit(rate, stop=control.stop),
            lambda counts: progress.at(counts.brought, deleted=counts.deleted),
        )
        return await ended(going, run.counts, kept)


async def ended(going: Awaitable[Counts], counts: Counts, kept: Journal) -> Counts:
    """How it went, with the sentence of what ended it early if anything did."""
    try:
        return await going
    except AwsError as error:
        counts.failed = error.sentence
    except OSError as error:
        counts.failed = _unwritten(kept, error)
    return counts


def conclude(counts: Counts, kept: Journal, *, as_json: bool, done: str) -> None:
    """Say what became of all, and exit with the code for it."""
    machine = as_json or not sys.stdout.isatty()
    if machine:
        line = {"end": done, "journal": str(kept.directory), **counts.as_json()}
        typer.echo(json.dumps(line))
    else:
        _tell(counts, kept, done)
    if counts.failed is not None:
        _resume(kept)
        fail(counts.failed)
    if counts.stopped is not None:
        typer.echo(f"relay: stopped: {counts.stopped}", err=True)
        raise typer.Exit(STOPPED)
    if not counts.complete:
        _complain(counts, reasons=machine)
        if counts.owed or counts.interrupted:
            _resume(kept)
        raise typer.Exit(PARTIAL)


def audit(
    settings: Settings, kept: Journal, kind: str, options: Mapping[str, Any], counts: Counts
) -> None:
    """Log who did what to which queue, when, and how it ended; the journal keeps it too."""
    line = {
        "audit": f"dlq {kind}",
        "by": who(),
        "at": datetime.fromtimestamp(time.time(), UTC).isoformat(timespec="seconds"),
        "run": kept.id,
        "journal": str(kept.directory.resolve()),
        **{name: value for name, value in options.items() if value},
        **counts.as_json(),
    }
    with suppress(OSError):  # a disk that is full has been told of
        kept.note(audit=line)
    with open_log(
        service=settings.service,
        log_format=settings.log_format,
        file=Path(settings.log_file) if settings.log_file else None,
        redactor=Redactor(()),  # a line of our own making, with no secret in it
        screen=sys.stderr,
    ):
        logging.getLogger(AUDIT).info("%s", json.dumps(line))


def _unwritten(kept: Journal, error: OSError) -> str:
    return f"the journal in {kept.directory} cannot be written: {error.strerror or error}"


def _tell(counts: Counts, kept: Journal, done: str) -> None:
    copies = f", {counts.copies} copies of them deleted" if counts.copies else ""
    typer.echo(f"{counts.brought} {done}{copies}, {counts.deleted} gone from the queue")
    for code, count in counts.stays.most_common():
        typer.echo(f"{count} stay: {code}: {counts.reasons[code]}")
    typer.echo(f"journal and backup: {kept.directory}")


def _complain(counts: Counts, *, reasons: bool) -> None:
    """Say what is left, with the reasons why letters stay where they have not been told."""
    if counts.owed:
        typer.echo(
            f"relay: {counts.owed} are brought and not deleted yet: SQS did not agree, or the lease"
            " ran out; they come again and are then only deleted",
            err=True,
        )
    if counts.missing:
        typer.echo(
            f"relay: {counts.missing} of the messages in the snapshot are not in the queue:"
            " somebody brought them back or dropped them, or SQS deleted them",
            err=True,
        )
    if counts.out_of_reach:
        typer.echo(f"relay: {counts.out_of_reach} were not to be had: {counts.why}", err=True)
    for code, reason in counts.as_json()["reasons"].items() if reasons else ():
        typer.echo(f"relay: {counts.stays[code]} stay, {code}: {reason}", err=True)


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
