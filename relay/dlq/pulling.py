"""Pulling: one pass over the queue into a snapshot, and everything is released at its end."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Callable
from contextlib import suppress
from itertools import islice
from pathlib import Path

from relay.aws.errors import QueueError
from relay.aws.sqs import Queue
from relay.dlq.handles import Handles
from relay.dlq.holding import release
from relay.dlq.scan import Reach, Scan
from relay.dlq.snapshot import End, Head
from relay.dlq.snapshot_writer import SnapshotWriter

SHORTEST_LEASE = 120.0
LONGEST_LEASE = 43_000.0
SLOWEST = 100.0
"""Messages a second, a slow line's worth: the lease outlasts a pass at this pace. One that does not
is received twice, which costs a receive and nothing else."""

_HANDLES = 1_000


async def pull(
    queue: Queue,
    path: Path,
    head: Head,
    *,
    waiting: int,
    wait: float,
    stop: asyncio.Event,
    progress: Callable[[int], None],
) -> tuple[End, Reach]:
    """Write everything in the queue to a new snapshot; `waiting` is about how much there is.

    However it ends, what was received is made visible again. Stopped from outside, the snapshot is
    ended as incomplete.

    Raises:
        QueueError: the queue cannot be read; no snapshot is left behind.
        FileExistsError: the path is taken.
    """
    lease = min(LONGEST_LEASE, SHORTEST_LEASE + waiting / SLOWEST)
    with SnapshotWriter(path, head) as writer, tempfile.TemporaryFile(buffering=0) as file:
        handles = Handles(file)
        count = 0
        taken = 0
        scan = Scan(queue, lease=lease, wait=wait, ours=lambda: taken, stop=stop.is_set)
        try:
            async for batch in scan:
                handles.add(leased.handle for leased, _ in batch)
                for leased, again in batch:
                    if not again:
                        writer.add(leased.message)
                        count += 1
                taken = count
                progress(count)
        except BaseException:
            with suppress(QueueError, OSError):  # the first error is the one to tell
                await _release(queue, handles)
            raise
        await _release(queue, handles)
        return writer.close(complete=scan.reach.complete, left=scan.reach.left), scan.reach


async def _release(queue: Queue, handles: Handles) -> None:
    lines = iter(handles)
    while chunk := list(islice(lines, _HANDLES)):
        await release(queue, chunk)
