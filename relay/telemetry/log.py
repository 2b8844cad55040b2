"""The log: where lines go, for as long as it is open."""

from __future__ import annotations

import contextlib
import logging
import sys
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TextIO

from relay.telemetry.log_format import ConsoleFormat, JsonFormat, LineFormat, utf_8
from relay.telemetry.log_writer import LineWriter, LogFile
from relay.telemetry.message_line import LEVELS, Line
from relay.telemetry.redaction import Redactor

OURS = "relay"
"""The logger above all of ours. Others are heard from warnings on: some log addresses as news."""


class _Handler(logging.Handler):
    """Hands what is logged to the log."""

    def __init__(self, take: Callable[[logging.LogRecord], None]) -> None:
        super().__init__()
        self._take = take

    def emit(self, record: logging.LogRecord) -> None:
        try:
            self._take(record)
        except Exception:  # noqa: BLE001 - a record that cannot be written must not harm its writer
            self.handleError(record)


class Log:
    """Writes records and message lines, without secrets, by threads of their own.

    With a file, everything goes there as JSON, and to `screen` goes everything but the messages'
    lines. Without one everything goes to `screen`.
    """

    def __init__(
        self,
        *,
        service: str,
        screen: tuple[LineWriter, LineFormat],
        file: tuple[LineWriter, LineFormat] | None,
        redactor: Redactor,
        level: int,
    ) -> None:
        self.service = service
        self._screen = screen
        self._file = file
        self._redactor = redactor
        self._level = level

    def record(self, record: logging.LogRecord) -> None:
        """Write a record of the logging machinery."""
        for writer, log_format in filter(None, (self._screen, self._file)):
            writer.take(utf_8(self._redactor.hide(log_format.record(record))))

    def messages(self, lines: Sequence[Line], at: float, *, foreign: bool) -> None:
        """Write messages' lines. `foreign` ones hold words that are not the relay's own."""
        if self._level > logging.INFO:
            lines = [line for line in lines if LEVELS[line.outcome] >= self._level]
        if lines:
            writer, log_format = self._file or self._screen
            text = log_format.messages(lines, at)
            if foreign:
                text = self._redactor.hide(text.decode()).encode()
            else:
                text = self._redactor.hide_from_ours(text)
            writer.take(text, len(lines))

    def metrics(self, text: str) -> None:
        """Write lines to the screen as they are, for who reads metrics there."""
        for line in text.splitlines():
            self._screen[0].take(line.encode())

    def take_lost(self) -> int:
        """How many lines found no place since the last call."""
        return sum(writer.take_lost() for writer, _ in filter(None, (self._screen, self._file)))


@contextlib.contextmanager
def open_log(
    *,
    service: str,
    level: str = "info",
    log_format: str = "auto",
    file: Path | None = None,
    redactor: Redactor,
    screen: TextIO | None = None,
) -> Iterator[Log]:
    """Send everything that is logged where it belongs, for as long as the block runs.

    Args:
        service: named in every line of JSON.
        level: the least severe that is written of our own.
        log_format: `json`, `console`, or `auto`: console on a terminal, JSON elsewhere.
        file: the file for everything; none if None.
        redactor: hides secrets in every line.
        screen: standard output if None.
    """
    screen = screen or sys.stdout
    terminal = screen.isatty()
    people = log_format == "console" or (log_format == "auto" and terminal)
    shown: LineFormat = ConsoleFormat(colour=terminal) if people else JsonFormat(service)
    with contextlib.ExitStack() as stack:
        out = stack.enter_context(_writing(_to(screen)))
        kept = None
        if file is not None:
            log_file = LogFile(file)
            stack.callback(log_file.close)
            told = partial(_complain, file)
            kept = (stack.enter_context(_writing(log_file.write, told)), JsonFormat(service))
        number = logging.getLevelNamesMapping()[level.upper()]
        log = Log(service=service, screen=(out, shown), file=kept, redactor=redactor, level=number)
        stack.enter_context(_installed(_Handler(log.record), number))
        yield log


@contextlib.contextmanager
def _writing(
    write: Callable[[bytes], None], told: Callable[[str | None], None] = lambda _why: None
) -> Iterator[LineWriter]:
    writer = LineWriter(write, told=told)
    try:
        yield writer
    finally:
        writer.close()


def _complain(file: Path, why: str | None) -> None:
    """Standard error is the one place left to say that the log has no place."""
    state = f"cannot be written, and its lines are lost: {why}" if why else "is written again"
    with contextlib.suppress(OSError, ValueError):  # nor does anybody read that one
        sys.stderr.write(f"relay: the log file {file} {state}\n")


def _to(stream: TextIO) -> Callable[[bytes], None]:
    """Writes to the bytes below the stream where it has some: UTF-8 whatever its encoding is."""

    def write(text: bytes) -> None:
        stream.flush()  # what was printed before comes first
        stream.buffer.write(text)
        stream.buffer.flush()

    def write_text(text: bytes) -> None:
        stream.write(text.decode())
        stream.flush()

    return write if hasattr(stream, "buffer") else write_text


@contextlib.contextmanager
def _installed(handler: logging.Handler, level: int) -> Iterator[None]:
    """Take part in the logging machinery, and leave it as it was."""
    root, ours = logging.getLogger(), logging.getLogger(OURS)
    before = root.level, ours.level
    root.addHandler(handler)
    root.setLevel(max(level, logging.WARNING))
    ours.setLevel(level)
    try:
        yield
    finally:
        root.removeHandler(handler)
        root.setLevel(before[0])
        ours.setLevel(before[1])
