"""The journal of a command that removes dead letters, and the report of its result."""

from __future__ import annotations

import shlex
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import typer

from relay.cli.dlq.output import PARTIAL, STOPPED
from relay.cli.startup import USAGE, fail
from relay.dlq.execution import not_written
from relay.dlq.journal import Journal, JournalConflict, new_directory
from relay.dlq.queue_pair import QueuePair
from relay.dlq.selection import Counts
from relay.output.terminal import echo, echo_json, is_terminal


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
    directory = directory or new_directory(command, queues.dead.name)
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
        fail(not_written(journal, error))


def report(counts: Counts, journal: Journal, *, as_json: bool, done: str) -> None:
    """Print the result and exit with its code. `done` says what was done, such as "dropped"."""
    machine = as_json or not is_terminal()
    if machine:
        line = {
            "type": "result",
            "end": done,
            "journal": str(journal.directory),
            **counts.as_json(),
        }
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
