"""Writes log lines in a thread, so that a slow disk or a full pipe delays no message."""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Callable
from logging.handlers import RotatingFileHandler
from pathlib import Path
from typing import Any, BinaryIO

from relay.output.private_files import append_private, narrow

BUFFER_BYTES = 8 * 1_048_576
"""Bytes to buffer. At 500 each that is 16,000 lines, seconds of the heaviest traffic."""

WRITE_DELAY = 0.05
"""Seconds before a write, to write many lines in one call: waking a thread costs as much as several
lines. A crash may lose the lines of this time."""

MAX_FILE_BYTES = 50_000_000
"""When a log file is rotated. An agent that follows it has read it by the next rotation."""

BACKUPS = 5
"""Rotated files to keep."""


class LineWriter:
    """Takes lines from any thread without blocking and writes them in order, many at a time.

    Lines wait in a buffer while `write` blocks (a pipe that nobody reads). Beyond the limit they
    are dropped and counted. Lines of a write that fails (a full disk) are dropped and counted too.
    `close` writes every line taken before it, if its timeout suffices.

    Args:
        write: writes whole lines; may block, may raise `OSError` or `ValueError`.
        limit: bytes to buffer.
        on_change: called in that thread with the reason when writes start to fail, and with None
            when they work again.
    """

    def __init__(
        self,
        write: Callable[[bytes], None],
        *,
        limit: int = BUFFER_BYTES,
        on_change: Callable[[str | None], None] = lambda _reason: None,
    ) -> None:
        self._write = write
        self._on_change = on_change
        self._failing = False
        self._limit = limit
        self._lock = threading.Lock()
        self._writing = threading.Lock()
        self._texts: list[bytes] = []
        self._lines = 0
        self._size = 0
        self._lost = 0
        self._wanted = threading.Event()
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name="log lines", daemon=True)
        self._thread.start()

    def take(self, text: bytes, lines: int = 1) -> None:
        """Buffer a text of `lines` lines, without the last newline."""
        with self._lock:
            if self._size + len(text) > self._limit or self._closing.is_set():
                self._lost += lines
                return
            self._texts.append(text)
            self._size += len(text)
            self._lines += lines
        if not self._wanted.is_set():
            self._wanted.set()

    def take_lost_lines(self) -> int:
        """The number of lines dropped since the last call."""
        with self._lock:
            lost, self._lost = self._lost, 0
        return lost

    def flush(self) -> None:
        """Write what was taken so far, in the caller's thread, which may block."""
        self._write_all()

    def close(self, timeout: float = 3.0) -> None:
        """Write what is left, in `timeout` seconds at most. Later lines are dropped."""
        self._closing.set()
        self._wanted.set()
        self._thread.join(timeout)

    def _run(self) -> None:
        while True:
            self._wanted.wait()
            self._closing.wait(WRITE_DELAY)
            self._wanted.clear()
            closing = self._closing.is_set()
            self._write_all()
            if closing:
                return

    def _write_all(self) -> None:
        with self._writing:  # texts are written in the order in which they were taken
            self._write_taken()

    def _write_taken(self) -> None:
        with self._lock:
            texts, self._texts, self._size = self._texts, [], 0
            lines, self._lines = self._lines, 0
        if not texts:
            return
        texts.append(b"")
        try:
            self._write(b"\n".join(texts))
        except (OSError, ValueError) as error:  # a closed stream is a ValueError
            with self._lock:
                self._lost += lines
            self._report(getattr(error, "strerror", None) or str(error))
        else:
            self._report(None)

    def _report(self, reason: str | None) -> None:
        if self._failing != (reason is not None):
            self._failing = reason is not None
            self._on_change(reason)


class OutputLock:
    """Keeps the lines of several processes apart, and one from rotating a file that another writes.

    Create it before they are forked. The kernel releases the locks of a process that ends.
    """

    def __init__(self) -> None:
        # No path: the file system may be read-only.
        self._descriptor = os.memfd_create("relay-output", os.MFD_CLOEXEC)

    def around(self, write: Callable[[bytes], None], output: int) -> Callable[[bytes], None]:
        """The function, called by one process at a time. `output` is a number for each output."""
        import fcntl  # noqa: PLC0415 - it does not exist for Windows

        def locked(text: bytes) -> None:
            fcntl.lockf(self._descriptor, fcntl.LOCK_EX, 1, output)
            try:
                write(text)
            finally:
                fcntl.lockf(self._descriptor, fcntl.LOCK_UN, 1, output)

        return locked


class LogFile:
    """A file of whole lines, rotated: `.1` is the newest of up to `backups` older files.

    Only its owner can read it.
    Another program, such as logrotate, may also move, remove or truncate the file at any time.
    """

    def __init__(
        self, path: Path, *, max_bytes: int = MAX_FILE_BYTES, backups: int = BACKUPS
    ) -> None:
        # Used for rotation only: its own `emit` formats every line twice.
        self._handler: Any = RotatingFileHandler(path, backupCount=backups, delay=True)
        self._max_bytes = max_bytes
        self._path = path
        for number in range(1, backups + 1):
            narrow(path.with_name(f"{path.name}.{number}"))

    def write(self, text: bytes) -> None:
        """Append whole lines. Raises `OSError`; the next call tries again."""
        stream: BinaryIO | None = self._handler.stream
        if stream is not None:
            if self._was_moved(stream):
                self._handler.stream = None
                stream.close()
            elif os.fstat(stream.fileno()).st_size + len(text) > self._max_bytes:
                self._handler.doRollover()
        if self._handler.stream is None:
            # Opened late: without the directory, lines are lost but the relay starts.
            self._handler.stream = append_private(self._path)
        _append(self._handler.stream.fileno(), text)

    def _was_moved(self, stream: BinaryIO) -> bool:
        """Whether the path names another file by now, or none."""
        try:
            return not os.path.samestat(self._path.stat(), os.fstat(stream.fileno()))
        except FileNotFoundError:
            return True

    def close(self) -> None:
        """Close the file. An error is ignored: `write` has raised it for the same lines before."""
        with contextlib.suppress(OSError):
            self._handler.close()


def _append(descriptor: int, text: bytes) -> None:
    """Write all of the text, or nothing: half a line would damage what comes after it."""
    start, left = os.fstat(descriptor).st_size, memoryview(text)
    try:
        while left:
            left = left[os.write(descriptor, left) :]
    except OSError:
        with contextlib.suppress(OSError):
            if os.fstat(descriptor).st_size > start:
                os.ftruncate(descriptor, start)
        raise
