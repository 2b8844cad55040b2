"""Pull: one pass over a queue into a snapshot; every message is released at the end."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Sequence
from contextlib import asynccontextmanager, suppress
from itertools import islice
from pathlib import Path
from typing import IO, TypeAlias

from relay.aws.errors import AwsError
from relay.aws.sqs import Queue
from relay.dlq.leases import Leased, Leases, fitting_lease, release
from relay.dlq.scan import Coverage, Scan
from relay.dlq.snapshot import End, Head, SnapshotWriter

SHORTEST_LEASE = 120.0
LONGEST_LEASE = 43_000.0
SLOWEST = 100.0
"""Messages a second, as over a slow line: the lease is long enough for a pass at this rate. In a
slower pass messages are received twice, which costs a receive and nothing else."""

Hold: TypeAlias = Callable[[Sequence[Leased]], None]
"""Keeps messages hidden until the pass has ended."""

_MAX_IN_MEMORY = 1_000
_RELEASE_AT_ONCE = 1_000


class Handles:
    """Receipt handles to release at the end, in an unbuffered file.

    What a full disk does not accept stays in memory.
    """

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._recent: list[str] = []

    def add(self, handles: Iterable[str]) -> None:
        """Add some.

        Raises:
            OSError: the disk accepts no more; the handles are kept all the same.
        """
        self._recent += handles
        if len(self._recent) >= _MAX_IN_MEMORY:
            self._write()

    def __iter__(self) -> Iterator[str]:
        """All of them; one that a full disk cut off may be among them too."""
        self._file.seek(0)
        with open(self._file.fileno(), "rb", closefd=False) as lines:
            for line in lines:
                yield line.rstrip(b"\n").decode()
        yield from self._recent

    def _write(self) -> None:
        left = "".join(f"{handle}\n" for handle in self._recent).encode()
        while left:
            left = left[self._file.write(left) :]
        self._recent.clear()


async def pull(
    queue: Queue,
    path: Path,
    head: Head,
    *,
    waiting: int,
    wait: float,
    lease: float | None = None,
    stop: asyncio.Event,
    progress: Callable[[int], None],
) -> tuple[End, Coverage]:
    """Write all messages of the queue to a new snapshot.

    However it ends, what was received is made visible again. If `stop` is set, the snapshot ends as
    incomplete.

    Args:
        queue: what to receive from.
        path: of the new snapshot.
        head: its first line.
        waiting: about how many messages the queue has.
        wait: seconds that each poll waits; 0 queries only some of SQS's servers.
        lease: seconds for which each message is hidden at a time, extended during the pass; by
            default long enough for the whole pass, which needs no extensions.
        stop: ends the pass early.
        progress: called with the number of messages so far.

    Raises:
        AwsError: the queue cannot be read; no snapshot is left behind.
        FileExistsError: the path exists.
    """
    hidden = _extended(queue, head, lease) if lease else _hidden(queue, head, waiting)
    with SnapshotWriter(path, head) as writer:
        written = 0
        async with hidden as (seconds, hold):
            scan = Scan(
                queue, lease=seconds, wait=wait, held_count=lambda: written, stop=stop.is_set
            )
            async for batch in scan:
                hold([leased for leased, _ in batch])
                for leased, again in batch:
                    if not again:
                        writer.add(leased.message)
                        written += 1
                progress(written)
        coverage = scan.coverage
        return writer.close(complete=coverage.complete, left=coverage.left), coverage


@asynccontextmanager
async def _hidden(queue: Queue, head: Head, waiting: int) -> AsyncIterator[tuple[float, Hold]]:
    """A lease that is long enough for the whole pass; everything is released at the end."""
    lease = min(LONGEST_LEASE, SHORTEST_LEASE + waiting / SLOWEST)
    with tempfile.TemporaryFile(buffering=0) as file:
        handles = Handles(file)
        try:
            yield (
                fitting_lease(lease, head.retention),
                lambda batch: handles.add(leased.handle for leased in batch),
            )
        except BaseException:
            with suppress(AwsError, OSError):  # the first error is the one to report
                await _release(queue, handles)
            raise
        await _release(queue, handles)


@asynccontextmanager
async def _extended(queue: Queue, head: Head, lease: float) -> AsyncIterator[tuple[float, Hold]]:
    """A lease as short as was asked for, extended during the pass."""
    seconds = fitting_lease(lease, head.retention)
    leases = Leases(queue, seconds)

    def hold(batch: Sequence[Leased]) -> None:
        for leased in batch:
            leases.add(leased)

    async with leases.extended():
        yield seconds, hold


async def _release(queue: Queue, handles: Handles) -> None:
    remaining = iter(handles)
    while chunk := list(islice(remaining, _RELEASE_AT_ONCE)):
        await release(queue, chunk)
