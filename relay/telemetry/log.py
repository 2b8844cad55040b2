"""The log: writes records and messages' lines to standard output and a file."""

from __future__ import annotations

import contextlib
import logging
import sys
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TextIO

from relay.output.redaction import Redactor
from relay.output.terminal import echo
from relay.telemetry.log_format import ConsoleFormat, JsonFormat, LineFormat, encode_utf8
from relay.telemetry.log_writer import LineWriter, LogFile, OutputLock
from relay.telemetry.message_line import LEVELS, DeliveredLine

LOGGER = "relay"
"""The parent of all our loggers. Other loggers write warnings and errors only: some of them log
URLs at level info."""


class _Handler(logging.Handler):
    """Passes log records to the log."""

    def __init__(self, write: Callable[[logging.LogRecord], None]) -> None:
        super().__init__()
        self._write = write

    def emit(self, record: logging.LogRecord) -> None:
        try:
            self._write(record)
        except Exception:  # noqa: BLE001 - logging must not raise in the code that logs
            self.handleError(record)


class Log:
    """Writes log records and messages' lines, without secrets, in background threads.

    With a file, everything goes to the file as JSON, and everything but the messages' lines also to
    `screen`. Without a file everything goes to `screen`.
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
        """Write a record of Python's `logging`."""
        for writer, log_format in filter(None, (self._screen, self._file)):
            writer.take(encode_utf8(self._redactor.redact(log_format.record(record))))

    def messages(self, lines: Sequence[DeliveredLine], at: float, *, untrusted: bool) -> None:
        """Write messages' lines. `untrusted` ones contain text of a server or of the payload."""
        if self._level > logging.INFO:
            lines = [line for line in lines if LEVELS[line.outcome] >= self._level]
        if lines:
            writer, log_format = self._file or self._screen
            text = log_format.messages(lines, at)
            if untrusted:
                text = self._redactor.redact(text.decode()).encode()
            else:
                text = self._redactor.redact_own(text)
            writer.take(text, len(lines))

    def metrics(self, text: str) -> None:
        """Write lines to `screen` unchanged, for metrics that are read from standard output."""
        for line in text.splitlines():
            self._screen[0].take(line.encode())

    def flush(self) -> None:
        """Write every line that was logged so far. Blocks while the output does."""
        for writer, _ in filter(None, (self._screen, self._file)):
            writer.flush()

    def take_lost_lines(self) -> int:
        """The number of lines dropped since the last call."""
        return sum(
            writer.take_lost_lines() for writer, _ in filter(None, (self._screen, self._file))
        )


@contextlib.contextmanager
def open_log(
    *,
    service: str,
    level: str = "info",
    log_format: str = "auto",
    file: Path | None = None,
    redactor: Redactor,
    screen: TextIO | None = None,
    lock: OutputLock | None = None,
) -> Iterator[Log]:
    """Write everything that is logged while the block runs.

    Args:
        service: the field `service` of every JSON line.
        level: the lowest level of our own records that is written.
        log_format: format of `screen`: `json`, `console`, or `auto`, which is `console` on a
            terminal and `json` elsewhere.
        file: also written to, always as JSON.
        redactor: removes secrets from every line.
        screen: standard output if None.
        lock: of all processes that write to the same outputs, if there are several.
    """
    screen = screen or sys.stdout
    terminal = screen.isatty()
    console = log_format == "console" or (log_format == "auto" and terminal)
    around = _unlocked if lock is None else lock.around
    shown: LineFormat = ConsoleFormat(colour=terminal) if console else JsonFormat(service)
    with contextlib.ExitStack() as stack:
        out = stack.enter_context(_line_writer(around(_stream_writer(screen), 0)))
        filed = None
        if file is not None:
            log_file = LogFile(file)
            stack.callback(log_file.close)
            write = around(log_file.write, 1)
            writer = stack.enter_context(_line_writer(write, partial(_report, file)))
            filed = (writer, JsonFormat(service))
        number = logging.getLevelNamesMapping()[level.upper()]
        log = Log(service=service, screen=(out, shown), file=filed, redactor=redactor, level=number)
        stack.enter_context(_installed(_Handler(log.record), number))
        yield log


@contextlib.contextmanager
def _line_writer(
    write: Callable[[bytes], None], on_change: Callable[[str | None], None] = lambda _reason: None
) -> Iterator[LineWriter]:
    writer = LineWriter(write, on_change=on_change)
    try:
        yield writer
    finally:
        writer.close()


def _unlocked(write: Callable[[bytes], None], _output: int) -> Callable[[bytes], None]:
    return write


def _report(file: Path, reason: str | None) -> None:
    """Report on standard error that the log file fails, or works again."""
    state = f"cannot be written, lines are dropped: {reason}" if reason else "can be written again"
    with contextlib.suppress(OSError, ValueError):  # standard error may be closed as well
        echo(f"relay: the log file {file} {state}", err=True)


def _stream_writer(stream: TextIO) -> Callable[[bytes], None]:
    """Writes to the stream's binary buffer if it has one: UTF-8 whatever the stream's encoding."""

    def write(text: bytes) -> None:
        stream.flush()  # text printed before must come first
        stream.buffer.write(text)
        stream.buffer.flush()

    def write_text(text: bytes) -> None:
        stream.write(text.decode())
        stream.flush()

    return write if hasattr(stream, "buffer") else write_text


@contextlib.contextmanager
def _installed(handler: logging.Handler, level: int) -> Iterator[None]:
    """Add the handler to Python's `logging`, and restore its state afterwards."""
    root, ours = logging.getLogger(), logging.getLogger(LOGGER)
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
