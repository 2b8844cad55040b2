"""The two forms of a log line: JSON for machines, a short sentence for people."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import msgspec
from aws_lambda_powertools.logging.formatter import LambdaPowertoolsFormatter

from relay.telemetry.message_line import LEVELS, Line, LongLine

_encode_lines = msgspec.json.Encoder().encode_lines
_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


class LineFormat(Protocol):
    """How lines look."""

    def record(self, record: logging.LogRecord) -> str:
        """Any record of the logging machinery."""
        ...

    def messages(self, lines: Sequence[Line], at: float) -> bytes:
        """Lines about messages, as UTF-8 text of one line or more without the last one's end."""
        ...


class JsonFormat:
    """One JSON object a line.

    Records are formatted by powertools' formatter. Messages' lines have the same first fields, and
    are written by msgspec: at 50 µs a line the formatter would be a third of a message's work.
    """

    def __init__(self, service: str) -> None:
        self._formatter = LambdaPowertoolsFormatter(
            service=service,
            use_rfc3339=True,
            utc=True,
            log_record_order=["timestamp", "level", "service", "message"],
        )

    def record(self, record: logging.LogRecord) -> str:
        """The record with its `extra` fields, the exception's trace among them."""
        # From Python 3.12 on every record names its task, which tells nobody anything.
        told = {name: value for name, value in vars(record).items() if name != "taskName"}
        return self._formatter.format(logging.makeLogRecord(told))

    def messages(self, lines: Sequence[Line], at: float) -> bytes:
        """The lines, which know their time."""
        del at
        try:
            return _encode_lines(lines)[:-1]
        except UnicodeEncodeError:  # a lone surrogate has no UTF-8; its escape has
            return "\n".join(json.dumps(msgspec.to_builtins(line)) for line in lines).encode()


class ConsoleFormat:
    """One short line, coloured if wanted."""

    _COLOURS: Mapping[int, str] = {
        logging.DEBUG: "\x1b[2m",
        logging.WARNING: "\x1b[33m",
        logging.ERROR: "\x1b[31m",
        logging.CRITICAL: "\x1b[31m",
    }

    def __init__(
        self, *, colour: bool, local: Callable[[float], time.struct_time] = time.localtime
    ) -> None:
        self._colour = colour
        self._local = local
        self._traceback = logging.Formatter().formatException

    def record(self, record: logging.LogRecord) -> str:
        """Time, level, sentence, and the fields that it does not hold."""
        extra = {k: v for k, v in vars(record).items() if k not in _STANDARD}
        text = f"{record.getMessage()}{_pairs(extra)}"
        if record.exc_info:
            text = f"{text}\n{self._traceback(record.exc_info)}"
        return self._line(record.created, record.levelno, record.levelname.lower(), text)

    def messages(self, lines: Sequence[Line], at: float) -> bytes:
        """What became of which event, for each message."""
        return utf_8("\n".join(self._message(line, at) for line in lines))

    def _message(self, line: Line, at: float) -> str:
        what = f"{line.event_name or 'a message'} {line.event_id or line.message_id}"
        told: dict[str, Any] = {"attempts": line.attempts, "seconds": line.seconds}
        if isinstance(line, LongLine):
            if line.event_count is not None:
                what = f"{line.event_count} events in {line.message_id}"
            if line.reason is not None:
                what += f": {line.reason}"
            told = {"code": line.code, **told}
        pairs = _pairs({key: value for key, value in told.items() if value is not None})
        return self._line(at, LEVELS[line.outcome], line.outcome, f"{what}{pairs}")

    def _line(self, at: float, level: int, word: str, text: str) -> str:
        line = f"{time.strftime('%H:%M:%S', self._local(at))} {word:<9} {text}"
        colour = self._COLOURS.get(level, "")
        return f"{colour}{line}\x1b[0m" if self._colour and colour else line


def utf_8(text: str) -> bytes:
    """The text as it is written; what has no UTF-8 is written as its escape."""
    return text.encode(errors="backslashreplace")


def _pairs(fields: Mapping[str, Any]) -> str:
    return "".join(f" {key}={value}" for key, value in fields.items())
