"""Pulling: one pass over the queue into a snapshot, and everything is released at its end."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from itertools import islice
from pathlib import Path
from typing import IO

from relay.aws.errors import AwsError
from relay.aws.sqs import Queue
from relay.dlq.leases import release
from relay.dlq.scan import Reach, Scan
from relay.dlq.snapshot import End, Head, SnapshotWriter

_IN_MEMORY = 1_000


class Handles:
    """Handles to be released at the end, in an unbuffered file.

    What a full disk does not take stays in memory.
    """

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._recent: list[str] = []

    def add(self, handles: Iterable[str]) -> None:
        """Add some.

        Raises:
            OSError: the disk takes no more; they are among all that are kept even so.
        """
        self._recent += handles
        if len(self._recent) >= _IN_MEMORY:
            self._spill()

    def __iter__(self) -> Iterator[str]:
        """All of them; one that a full disk tore may be among them too."""
        self._file.seek(0)
        with open(self._file.fileno(), "rb", closefd=False) as lines:
            for line in lines:
                yield line.rstrip(b"\n").decode()
        yield from self._recent

    def _spill(self) -> None:
        left = "".join(f"{handle}\n" for handle in self._recent).encode()
        while left:
            left = left[self._file.write(left) :]
        self._recent.clear()


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
        AwsError: the queue cannot be read; no snapshot is left behind.
        FileExistsError: the path is taken.
    """
    lease = min(LONGEST_LEASE, SHORTEST_LEASE + waiting / SLOWEST)
    with SnapshotWriter(path, head) as writer, tempfile.TemporaryFile(buffering=0) as file:
        handles = Handles(file)
        count = 0
        taken = 0
        scan = Scan(queue, lease=lease, wait=wait, held_count=lambda: taken, stop=stop.is_set)
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
            with suppress(AwsError, OSError):  # the first error is the one to tell
                await _release(queue, handles)
            raise
        await _release(queue, handles)
        return writer.close(complete=scan.reach.complete, left=scan.reach.left), scan.reach


async def _release(queue: Queue, handles: Handles) -> None:
    lines = iter(handles)
    while chunk := list(islice(lines, _HANDLES)):
        await release(queue, chunk)
