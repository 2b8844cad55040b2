"""Runs a command that removes dead letters: its journal, the pass, the audit line, the report."""

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

from relay.app.redaction import create_redactor
from relay.aws.errors import AwsError
from relay.cli.dlq.output import PARTIAL, STOPPED, Progress
from relay.cli.dlq.queues import QueuePair
from relay.cli.startup import USAGE, fail
from relay.dlq.journal import Journal, JournalConflict, who
from relay.dlq.leases import Deleter, Leases, fitting_lease
from relay.dlq.run import Run
from relay.dlq.safeguards import MAX_GROWTH, GrowthGuard, RateLimit
from relay.dlq.scan import Scan
from relay.dlq.selection import Counts, RunControl, Selection
from relay.dlq.targets import Target
from relay.output.terminal import echo, echo_json, is_terminal
from relay.settings.model import Settings
from relay.telemetry.log import open_log

P = TypeVar("P")

AUDIT = "relay.dlq.audit"
"""The logger of the audit line."""


@contextmanager
def open_journal(
    directory: Path | None,
    queues: QueuePair,
    command: str,
    options: Mapping[str, Any],
    *,
    began_at: float | None = None,
) -> Iterator[Journal]:
    """The run's journal for as long as the block runs, in a new directory unless one is named.

    A new run begins now, or at `began_at`; a resumed run keeps the time when it began.
    """
    directory = directory or _new_directory(f"relay-dlq-{command}-{queues.dead.name}")
    try:
        begin = time.time() if began_at is None else began_at
        named = {"command": command, **options}
        journal = Journal(directory, queues.head, named, clock=lambda: begin)
    except JournalConflict as error:
        fail(str(error), code=USAGE)
    except OSError as error:
        fail(f"{directory} cannot be written: {error.strerror}", code=USAGE)
    try:
        yield journal
    except BaseException:
        with suppress(OSError):  # the first error is the one to report
            journal.close()
        raise
    try:
        journal.close()
    except OSError as error:
        fail(_not_written(journal, error))


async def execute(
    queues: QueuePair,
    journal: Journal,
    target: Target[P],
    selection: Selection,
    control: RunControl,
    *,
    wait: float,
    lease: float,
    rate: float | None = None,
) -> Counts:
    """Make one pass over the dead-letter queue, with its progress on standard error."""
    lease = fitting_lease(lease, queues.attributes.retention)
    leases = Leases(queues.dead, lease)
    deleter = Deleter(queues.dead, leases, journal)
    scan = Scan(
        queues.dead,
        lease=lease,
        wait=wait,
        held_count=lambda: len(leases),
        stop=control.should_stop,
        deleted=lambda: deleter.count,
    )
    # Dropping causes no new dead letters, so growth is no reason to stop.
    max_growth = math.inf if selection.every_message else MAX_GROWTH
    guard = GrowthGuard(queues.count, max_growth=max_growth)
    run = Run(queues.dead, scan, deleter, journal, target, selection, control, guard)
    total = min(queues.count, selection.limit or queues.count)
    with Progress("done", total=total) as progress:
        running = run.execute(
            RateLimit(rate, stop=control.stop),
            lambda counts: progress.at(counts.done, deleted=counts.deleted),
        )
        return await counts_of(running, run.counts, journal)


async def counts_of(running: Awaitable[Counts], counts: Counts, journal: Journal) -> Counts:
    """The counts of a run that has ended, with the error that ended it early, if any."""
    try:
        return await running
    except AwsError as error:
        counts.failed = error.sentence
    except OSError as error:
        counts.failed = _not_written(journal, error)
    return counts


def audit(
    settings: Settings, journal: Journal, command: str, options: Mapping[str, Any], counts: Counts
) -> None:
    """Log who ran which command on which queue, when and with what result; also in the journal."""
    line = {
        "audit": command,
        "by": who(),
        "at": datetime.fromtimestamp(time.time(), UTC).isoformat(timespec="seconds"),
        "run": journal.id,
        "journal": str(journal.directory.resolve()),
        **{name: value for name, value in options.items() if value},
        **counts.as_json(),
    }
    with suppress(OSError):  # a full disk was reported already
        journal.record(audit=line)
    with open_log(
        service=settings.service,
        log_format=settings.log_format,
        file=Path(settings.log_file) if settings.log_file else None,
        redactor=create_redactor(settings),  # an option may hold one
        screen=sys.stderr,
    ):
        logging.getLogger(AUDIT).info("%s", json.dumps(line))


def report(counts: Counts, journal: Journal, *, as_json: bool, done: str) -> None:
    """Print the result and exit with its code. `done` says what was done, such as "dropped"."""
    machine = as_json or not is_terminal()
    if machine:
        line = {"end": done, "journal": str(journal.directory), **counts.as_json()}
        echo_json(line)
    else:
        _print(counts, journal, done)
    if counts.failed is not None:
        _print_resume(journal)
        fail(counts.failed)
    if counts.stopped is not None:
        echo(f"relay: stopped: {counts.stopped}", err=True)
        raise typer.Exit(STOPPED)
    if not counts.complete:
        _print_unfinished(counts, reasons=machine)
        if counts.not_deleted or counts.interrupted:
            _print_resume(journal)
        raise typer.Exit(PARTIAL)


def _new_directory(stem: str) -> Path:
    """A path in the current directory that does not exist yet."""
    stamp = datetime.now(UTC).strftime("%Y%m%d-%H%M%S")
    names = itertools.chain([stamp], (f"{stamp}-{number}" for number in itertools.count(2)))
    return next(path for name in names if not (path := Path(f"{stem}-{name}")).exists())


def _not_written(journal: Journal, error: OSError) -> str:
    return f"the journal in {journal.directory} cannot be written: {error.strerror or error}"


def _print(counts: Counts, journal: Journal, done: str) -> None:
    duplicates = f", {counts.duplicates} duplicates deleted" if counts.duplicates else ""
    echo(f"{counts.done} {done}{duplicates}, {counts.deleted} deleted from the queue")
    for code, count in counts.skipped.most_common():
        echo(f"{count} skipped, {code}: {counts.reasons[code]}")
    echo(f"journal and backup: {journal.directory}")


def _print_unfinished(counts: Counts, *, reasons: bool) -> None:
    """Say what is left, with the reasons for skipping if they were not printed yet."""
    if counts.not_deleted:
        echo(
            f"relay: {counts.not_deleted} are done and not deleted yet: SQS did not confirm, or the"
            " lease lapsed; when they are received again they are only deleted",
            err=True,
        )
    if counts.missing:
        echo(
            f"relay: {counts.missing} of the messages in the snapshot are not in the queue:"
            " somebody redrove or dropped them, or SQS deleted them",
            err=True,
        )
    if counts.not_received:
        echo(f"relay: {counts.not_received} were not received: {counts.why}", err=True)
    for code, reason in counts.as_json()["reasons"].items() if reasons else ():
        echo(f"relay: {counts.skipped[code]} skipped, {code}: {reason}", err=True)


def _print_resume(journal: Journal) -> None:
    """Say how to resume. A second run with the same journal repeats nothing that it records."""
    words: Sequence[str] = ["relay", *_without_journal(sys.argv[1:])]
    line = shlex.join([*words, "--journal", str(journal.directory)])
    echo(f"relay: to resume: {line}", err=True)


def _without_journal(words: Sequence[str]) -> list[str]:
    kept, skip = [], False
    for word in words:
        if not skip and word != "--journal" and not word.startswith("--journal="):
            kept.append(word)
        skip = word == "--journal"
    return kept
