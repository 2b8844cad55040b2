"""The snapshot that the console shows: taking a new one, and reading one into an index."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal, Protocol, TypeAlias

from relay.console.dead_letter_index import DeadLetterIndex
from relay.dlq.dead_letter import DeadLetter
from relay.dlq.prediction import Prediction
from relay.dlq.snapshot import End, Head, Snapshot, Unreadable
from relay.model.message import Message

_log = logging.getLogger(__name__)

PREFIX = "relay-dlq-snapshot-"
"""With what the names of the console's own snapshots begin."""


class SnapshotFailed(Exception):
    """No snapshot could be taken. The text is a sentence for the operator."""


Advance: TypeAlias = Callable[[int, int], None]
"""Called with the number of messages so far, and with about how many there will be."""

Take: TypeAlias = Callable[[Path, Advance, asyncio.Event], Awaitable[Path]]
"""Takes a snapshot into a new file of this directory, and ends early if the event is set; raises
`SnapshotFailed`."""

STOP_DEADLINE = 5.0
"""Seconds for the receives under way when the console stops. Messages of later ones stay hidden
until the lease of the snapshot is over."""


class Reader(Protocol):
    """Reads dead letters. `unread` says why the payload of a message was not read, by its id."""

    unread: dict[str, str]

    async def read(self, message: Message) -> DeadLetter:
        """The dead letter, with its payload if that can be fetched."""
        ...


OpenReader: TypeAlias = Callable[[Head], AbstractAsyncContextManager[Reader]]
"""A reader of the dead letters of a snapshot with this head."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Loaded:
    """A snapshot with its index.

    `end` is None if it was cut off. `unread` counts the messages whose payload in S3 was not read,
    and `why_unread` is the reason of the first.
    """

    path: Path
    head: Head
    end: End | None
    index: DeadLetterIndex
    unread: int = 0
    why_unread: str = ""


@dataclass(frozen=True, slots=True)
class Work:
    """What is going on: how many messages of about how many."""

    stage: Literal["receiving", "reading"]
    done: int = 0
    total: int = 0


class Snapshots:
    """Holds the current snapshot.

    Args:
        directory: where snapshots are written, and where the latest one is looked for.
        take: takes a new one.
        open_reader: reads its messages.
        predict: what would happen to a dead letter, without a look at the ledger.
        clock: seconds since the epoch.

    Attributes:
        current: the snapshot that is shown, None before the first.
        work: what is going on, None if nothing is.
        problem: why the last one could not be taken or read.
    """

    def __init__(
        self,
        directory: Path,
        take: Take,
        open_reader: OpenReader,
        predict: Callable[[DeadLetter], Prediction],
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._directory = directory
        self._take = take
        self._open_reader = open_reader
        self._predict = predict
        self._clock = clock
        self._stop = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self.current: Loaded | None = None
        self.work: Work | None = None
        self.problem: str | None = None

    @property
    def directory(self) -> Path:
        """Where snapshots are written."""
        return self._directory

    def take(self) -> None:
        """Begin to take a new snapshot, unless one is being taken or read."""
        self._begin(Work("receiving"), self._take_and_load)

    def load(self, path: Path) -> None:
        """Begin to read a snapshot, unless one is being taken or read."""
        self._begin(Work("reading"), partial(self._load, path))

    def load_latest(self, queue: str | None = None) -> None:
        """Begin to read the latest snapshot of this queue that the console has taken, if any."""
        found = [
            (head.taken_at, path)
            for path in self._directory.glob(f"{PREFIX}*.jsonl*")
            if (head := _head(path)) and queue in (None, head.queue)
        ]
        if found:
            self.load(max(found)[1])

    async def idle(self) -> None:
        """Return when nothing is going on."""
        while self._task is not None and not self._task.done():
            await asyncio.wait({self._task})

    async def close(self) -> None:
        """Stop what is going on. What was received is released."""
        self._stop.set()
        if self._task is not None:
            await asyncio.wait({self._task}, timeout=STOP_DEADLINE)
            self._task.cancel()
            await asyncio.wait({self._task})

    def _begin(self, work: Work, steps: Callable[[], Awaitable[None]]) -> None:
        if self.work is None:
            self.work, self.problem = work, None
            self._task = asyncio.create_task(self._guarded(steps))

    async def _guarded(self, steps: Callable[[], Awaitable[None]]) -> None:
        try:
            await steps()
        except (SnapshotFailed, Unreadable) as error:
            self.problem = str(error)
        except OSError as error:
            self.problem = f"the snapshot cannot be written: {error.strerror or error}"
        except Exception:  # noqa: BLE001 - the page must say that it failed, and the log why
            _log.exception("a snapshot could not be read")
            self.problem = "the snapshot could not be read: the console's output says why"
        finally:
            self.work = None

    async def _take_and_load(self) -> None:
        def advance(done: int, total: int) -> None:
            self.work = Work("receiving", done, total)

        path = await self._take(self._directory, advance, self._stop)
        if self._stop.is_set():
            path.unlink()  # it is not complete, and would be shown at the next start
        else:
            await self._load(path)

    async def _load(self, path: Path) -> None:
        snapshot = Snapshot(path)
        index = DeadLetterIndex(snapshot.head)
        total = self.work.total if self.work else 0

        def advance(done: int) -> None:
            self.work = Work("reading", done, max(total, done))

        advance(0)
        async with self._open_reader(snapshot.head) as reader:
            await index.fill(snapshot, reader.read, self._predict, advance)
            unread = list(reader.unread.values())
        self.current = Loaded(
            path=path,
            head=snapshot.head,
            end=snapshot.end,
            index=index,
            unread=len(unread),
            why_unread=unread[0] if unread else "",
        )

    def reader(self, loaded: Loaded) -> AbstractAsyncContextManager[Reader]:
        """A reader of its messages."""
        return self._open_reader(loaded.head)

    async def read(self, loaded: Loaded, messages: list[Message]) -> list[DeadLetter]:
        """Read some of its messages again, with their payloads."""
        async with self.reader(loaded) as reader:
            return [await reader.read(message) for message in messages]


def _head(path: Path) -> Head | None:
    with suppress(Unreadable):
        return Snapshot(path).head
    return None
