"""Executes a selection: one pass over the dead-letter queue with its leases, journal and guards."""

from __future__ import annotations

import math
from collections.abc import Awaitable
from dataclasses import dataclass
from typing import TypeVar

from relay.aws.errors import AwsError
from relay.dlq.journal import Journal
from relay.dlq.leases import Deleter, Leases, fitting_lease
from relay.dlq.queue_pair import QueuePair
from relay.dlq.run import Run
from relay.dlq.safeguards import MAX_GROWTH, GrowthGuard, RateLimit
from relay.dlq.scan import Scan
from relay.dlq.selection import Counts, RunControl, Selection
from relay.dlq.targets import Target
from relay.dlq.watch import OpenProgress

P = TypeVar("P")


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """How a pass receives and sends.

    Attributes:
        wait: seconds that each receive waits; 0 queries only some of SQS's servers.
        lease: seconds for which received messages are hidden at a time.
        rate: the most messages sent a second; None for no limit.
    """

    wait: float = 1.0
    lease: float = 120.0
    rate: float | None = None


@dataclass(frozen=True, slots=True)
class ReportedProgress:
    """How the progress of a pass is reported.

    Attributes:
        begin: begins the phase.
        total: about how many dead letters are selected; None if that is not known.
        before: how many of them an earlier pass processed.
    """

    begin: OpenProgress
    total: int | None = None
    before: int = 0


async def execute(
    queues: QueuePair,
    journal: Journal,
    target: Target[P],
    selection: Selection,
    control: RunControl,
    pace: Pace,
    progress: ReportedProgress,
) -> Counts:
    """Make one pass over the dead-letter queue.

    The counts have the error that ended it early, if any.
    """
    lease = fitting_lease(pace.lease, queues.attributes.retention)
    leases = Leases(queues.dead, lease)
    deleter = Deleter(queues.dead, leases, journal)
    scan = Scan(
        queues.dead,
        lease=lease,
        wait=pace.wait,
        held_count=lambda: len(leases),
        stop=control.should_stop,
        deleted=lambda: deleter.count,
    )
    # Dropping causes no new dead letters, so growth is no reason to stop.
    max_growth = math.inf if selection.every_message else MAX_GROWTH
    guard = GrowthGuard(queues.count, max_growth=max_growth)
    run = Run(queues.dead, scan, deleter, journal, target, selection, control, guard)
    with progress.begin("done", total=progress.total) as phase:

        def report(counts: Counts) -> None:
            more = {"received": counts.received, "deleted": counts.deleted}
            phase.at(progress.before + counts.processed, **more, queue=queues.count)

        running = run.execute(RateLimit(pace.rate, stop=control.stop), report)
        return await counts_of(running, run.counts, journal)


async def counts_of(running: Awaitable[Counts], counts: Counts, journal: Journal) -> Counts:
    """The counts of a run that has ended, with the error that ended it early, if any."""
    try:
        return await running
    except AwsError as error:
        counts.failed = error.sentence
    except OSError as error:
        counts.failed = not_written(journal, error)
    return counts


def not_written(journal: Journal, error: OSError) -> str:
    """A sentence about a journal that cannot be written."""
    return f"the journal in {journal.directory} cannot be written: {error.strerror or error}"
