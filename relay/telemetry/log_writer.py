"""The line writer: a thread that writes lines, so that nobody waits for a disk or a full pipe."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable
from logging.handlers import RotatingFileHandler
from pathlib import Path
from typing import Any, BinaryIO

LIMIT = 8 * 1_048_576
"""Bytes that may wait. At 500 each that is 16,000 lines, seconds of the heaviest traffic."""

GATHER = 0.05
"""Seconds between two writes under load: one call for many lines, since waking a thread costs as
much as several lines. So much a crash may lose."""


class LineWriter:
    """Takes lines from any thread at once and writes them in order, many at a time.

    Where they cannot be written (a full disk, a pipe that nobody reads), they wait up to the limit
    and are then dropped and counted: delivery goes on. Every line that is taken before `close` is
    written by it, if `close` is given the time.

    Args:
        write: writes whole lines; may block, may raise `OSError` or `ValueError`.
        limit: bytes that may wait.
        told: hears in that thread why lines are lost, and None once they are written again.
    """

    def __init__(
        self,
        write: Callable[[bytes], None],
        *,
        limit: int = LIMIT,
        told: Callable[[str | None], None] = lambda _why: None,
    ) -> None:
        self._write = write
        self._told = told
        self._failing = False
        self._limit = limit
        self._lock = threading.Lock()
        self._texts: list[bytes] = []
        self._lines = 0
        self._size = 0
        self._lost = 0
        self._wanted = threading.Event()
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name="log lines", daemon=True)
        self._thread.start()

    def take(self, text: bytes, lines: int = 1) -> None:
        """Take a text of so many lines, without the last one's end."""
        with self._lock:
            if self._size + len(text) > self._limit or self._closing.is_set():
                self._lost += lines
                return
            self._texts.append(text)
            self._size += len(text)
            self._lines += lines
        if not self._wanted.is_set():
            self._wanted.set()

    def take_lost(self) -> int:
        """How many lines were lost since the last call."""
        with self._lock:
            lost, self._lost = self._lost, 0
        return lost

    def close(self, patience: float = 3.0) -> None:
        """Write what is left, for so many seconds at most, and take nothing more."""
        self._closing.set()
        self._wanted.set()
        self._thread.join(patience)

    def _run(self) -> None:
        while True:
            self._wanted.wait()
            self._closing.wait(GATHER)
            self._wanted.clear()
            closing = self._closing.is_set()
            self._write_all()
            if closing:
                return

    def _write_all(self) -> None:
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
            self._tell(getattr(error, "strerror", None) or str(error))
        else:
            self._tell(None)

    def _tell(self, why: str | None) -> None:
        """Trouble is told at its start and at its end."""
        if self._failing != (why is not None):
            self._failing = why is not None
            self._told(why)


LARGEST = 50_000_000
"""Bytes. An agent that follows the file has read long before its name goes to the next one."""

KEPT = 5


class LogFile:
    """A file of whole lines, and up to `KEPT` older ones beside it: `.1` is the youngest."""

    def __init__(self, path: Path, *, largest: int = LARGEST, kept: int = KEPT) -> None:
        # Only the turning is of use here: its own `emit` formats every line twice.
        self._handler: Any = RotatingFileHandler(path, backupCount=kept, delay=True)
        self._largest = largest
        self._path = path

    def write(self, text: bytes) -> None:
        """Add lines. Raises `OSError`; the next call tries again."""
        stream: BinaryIO | None = self._handler.stream
        if stream is not None:
            stream.flush()  # what a full disk did not take is still to be written, before turning
            if stream.tell() + len(text) > self._largest:
                self._handler.doRollover()
        if self._handler.stream is None:
            # Opened late, so that a missing directory costs lines and not the start.
            self._handler.stream = self._path.open("ab")
        self._handler.stream.write(text)
        self._handler.stream.flush()

    def close(self) -> None:
        """Let go of the file. What a full disk took none of has been told and counted by then."""
        with contextlib.suppress(OSError):
            self._handler.close()
