"""The log's own file, which is turned before it grows too large."""

from __future__ import annotations

import contextlib
from logging.handlers import RotatingFileHandler
from pathlib import Path
from typing import Any, BinaryIO

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
