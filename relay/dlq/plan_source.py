"""The messages that a plan covers: a snapshot's, or those that are in the queue now."""

from __future__ import annotations

import tempfile
import time
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path

from relay.dlq.pull import pull
from relay.dlq.queue_pair import QueuePair
from relay.dlq.scan import Coverage
from relay.dlq.snapshot import End, Snapshot
from relay.dlq.statistics import expiry
from relay.dlq.watch import Progress, Warn, Watch
from relay.model.message import Message

EXAMINED = "examined"
"""What the progress of a plan is called."""

REPORT_EVERY = 100
"""Messages between two reports of progress."""


@dataclass(frozen=True, slots=True)
class PlanInput:
    """The messages that a plan covers. `not_received` counts those that a run might meet too."""

    messages: Iterator[Message]
    not_received: int = 0


async def pull_snapshot(
    queues: QueuePair, path: Path, watch: Watch, *, wait: float, lease: float | None = None
) -> tuple[End, Coverage]:
    """Pull the queue into a new snapshot. A stop ends the pass early and releases everything.

    Raises:
        AwsError: the queue cannot be read; no snapshot is left behind.
        OSError: the file cannot be written; `FileExistsError` if it exists.
    """
    with watch.progress("pulled", total=queues.count) as progress:
        return await pull(
            queues.dead,
            path,
            queues.head,
            waiting=queues.count,
            wait=wait,
            lease=lease,
            stop=watch.stop,
            progress=progress.at,
        )


@asynccontextmanager
async def plan_input(
    queues: QueuePair,
    snapshot: Path | None,
    watch: Watch,
    *,
    wait: float,
    lease: float | None = None,
    count: int | None = None,
) -> AsyncIterator[PlanInput]:
    """The snapshot's messages that still exist, or without a snapshot those in the queue now.

    Reports how many were taken, of `count` if the number in the snapshot is known. Warns about
    messages that were not received, or that SQS has deleted since.

    Raises:
        AwsError: the queue cannot be read.
        OSError: there is no room for the messages on the disk.
        Unreadable: the snapshot cannot be read.
    """
    with tempfile.TemporaryDirectory(prefix="relay-dlq-") as directory:
        now, not_received = Path(directory, "now.jsonl"), 0
        if snapshot is None:
            end, coverage = await pull_snapshot(queues, now, watch, wait=wait, lease=lease)
            not_received, count = end.left, end.count
            if not (end.complete or watch.stop.is_set()):
                watch.warn(
                    f"this covers {end.count} messages, and a run may reach {end.left} more:"
                    f" {coverage.why}"
                )
        messages = takewhile(lambda _: not watch.stop.is_set(), Snapshot(snapshot or now))
        existing = messages if snapshot is None else _existing(messages, queues, watch.warn)
        with watch.progress(EXAMINED, total=count) as progress:
            yield PlanInput(reported(existing, progress), not_received)


def reported(messages: Iterable[Message], progress: Progress) -> Iterator[Message]:
    """The messages; from time to time it is reported how many were taken."""
    for number, message in enumerate(messages):
        if number % REPORT_EVERY == 0:
            progress.at(number)
        yield message


def _existing(messages: Iterator[Message], queues: QueuePair, warn: Warn) -> Iterator[Message]:
    now, gone = time.time(), 0
    for message in messages:
        expires = expiry(message, queues.attributes.retention, fifo=queues.dead.fifo)
        if expires is not None and expires.exact and expires.at <= now:
            gone += 1
        else:
            yield message
    if gone:
        warn(
            f"{gone} of the messages in the snapshot are older than the queue's retention: SQS has"
            " deleted them, and `relay dlq restore` puts them back"
        )
