"""Files that survive a kill and a power cut: appended to, and synced before they are relied on."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

_PRIVATE = 0o600  # letters hold what producers sent
_sync_data: Callable[[int], None] = getattr(os, "fdatasync", os.fsync)


def private_file(path: Path) -> BinaryIO:
    """A new file for its owner's eyes.

    Raises:
        FileExistsError: there is one of this name.
    """
    flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_APPEND
    return os.fdopen(os.open(path, flags, _PRIVATE), "w+b")


def sync_directory(directory: Path) -> None:
    """Make a file's new name survive a power cut."""
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


class DurableLines:
    """Lines appended to one file. A line that a kill tore is cut off when the file is opened.

    After one failure all fails: a system that lost what it was to write says so once, and calls the
    file whole from then on.

    Args:
        path: the file.
        sync: brings what was written to a descriptor onto the disk.

    Raises:
        BlockingIOError: another process has the file open in this way.
        OSError: it cannot be opened.
    """

    def __init__(self, path: Path, *, sync: Callable[[int], None] = _sync_data) -> None:
        try:
            self._file = private_file(path)
        except FileExistsError:
            self._file = path.open("r+b")
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self._file.truncate(_whole(self._file))
            self._file.seek(0, os.SEEK_END)
            sync_directory(path.parent)
        except BaseException:
            self._file.close()
            raise
        self._sync_file = sync
        self._failed: OSError | None = None
        self._appended = 0
        self._durable = 0
        self._syncing: asyncio.Task[None] | None = None

    def append(self, line: bytes) -> None:
        """Write a line; it is safe once `commit` has returned."""
        with self._remembering():
            self._file.write(line + b"\n")
        self._appended += 1

    def hand_over(self) -> None:
        """Give what was appended to the system: from now on it survives a kill of this process."""
        with self._remembering():
            self._file.flush()

    async def commit(self) -> None:
        """Return when all that was appended so far is on the disk; concurrent callers share it.

        Raises:
            OSError: the disk refuses, and nothing may rely on the lines.
        """
        mine = self._appended
        while self._durable < mine:
            if self._syncing is None or self._syncing.done():
                self._syncing = asyncio.create_task(self._sync())
            await asyncio.shield(self._syncing)

    def close(self) -> None:
        """Sync what is left and close."""
        try:
            self._file.flush()
            os.fsync(self._file.fileno())
        finally:
            self._file.close()

    async def _sync(self) -> None:
        mark = self._appended
        with self._remembering():
            self._file.flush()
            loop = asyncio.get_running_loop()
            await loop.run_in_executor(None, self._sync_file, self._file.fileno())
        self._durable = mark

    @contextlib.contextmanager
    def _remembering(self) -> Iterator[None]:
        """Raise what failed before; remember what fails now."""
        if self._failed is not None:
            raise self._failed
        try:
            yield
        except OSError as error:
            self._failed = error
            raise


def _whole(file: BinaryIO) -> int:
    """Where the last whole line ends."""
    end = file.seek(0, os.SEEK_END)
    while end:
        start = max(0, end - 65_536)
        file.seek(start)
        found = file.read(end - start).rfind(b"\n")
        if found >= 0:
            return start + found + 1
        end = start
    return 0
