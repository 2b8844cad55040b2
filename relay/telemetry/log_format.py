"""The two formats of a log line: JSON for machines, short text for people."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import msgspec
from aws_lambda_powertools.logging.formatter import LambdaPowertoolsFormatter

from relay.model.message import explain_notice
from relay.output.terminal import escape, escape_json, escape_text
from relay.telemetry.message_line import LEVELS, DeliveredLine, FullLine

_encode_lines = msgspec.json.Encoder().encode_lines
_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


class LineFormat(Protocol):
    """Formats lines."""

    def record(self, record: logging.LogRecord) -> str:
        """A record of Python's `logging`."""
        ...

    def messages(self, lines: Sequence[DeliveredLine], at: float) -> bytes:
        """Lines about messages, as UTF-8 without the last newline."""
        ...


class JsonFormat:
    """One JSON object a line.

    Records are formatted by powertools. Messages' lines have the same first fields, but are encoded
    by msgspec: the formatter takes 50 µs a line, which would be a third of a message's work.
    """

    def __init__(self, service: str) -> None:
        self._formatter = LambdaPowertoolsFormatter(
            service=service,
            use_rfc3339=True,
            utc=True,
            log_record_order=["timestamp", "level", "service", "message"],
        )

    def record(self, record: logging.LogRecord) -> str:
        """The record with its `extra` fields and the traceback of its exception."""
        # From Python 3.12 on every record names its task, which helps nobody.
        fields = {name: value for name, value in vars(record).items() if name != "taskName"}
        return escape_json(self._formatter.format(logging.makeLogRecord(fields)))

    def messages(self, lines: Sequence[DeliveredLine], at: float) -> bytes:
        """The lines. Their timestamps are fields already."""
        del at
        try:
            text = _encode_lines(lines)[:-1]
            if text.isascii() and b"\x7f" not in text:  # most texts, and cheap to find out
                return text
            return escape_json(text.decode()).encode()
        except UnicodeEncodeError:  # a lone surrogate: UTF-8 cannot hold it, a JSON escape can
            return escape_json(
                "\n".join(json.dumps(msgspec.to_builtins(line)) for line in lines)
            ).encode()


class ConsoleFormat:
    """One short line, optionally coloured."""

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
        """Time, level, message, and the `extra` fields."""
        extra = {k: v for k, v in vars(record).items() if k not in _STANDARD}
        text = escape(f"{record.getMessage()}{_pairs(extra)}")
        if record.exc_info:
            text = f"{text}\n{escape_text(self._traceback(record.exc_info))}"
        return self._line(record.created, record.levelno, record.levelname.lower(), text)

    def messages(self, lines: Sequence[DeliveredLine], at: float) -> bytes:
        """The outcome of each message and its event."""
        return encode_utf8("\n".join(self._message(line, at) for line in lines))

    def _message(self, line: DeliveredLine, at: float) -> str:
        what = f"{line.event_name or 'a message'} {line.event_id or line.message_id}"
        fields: dict[str, Any] = {"attempts": line.attempts, "seconds": line.seconds}
        level = LEVELS[line.outcome]
        notices = "".join(f"; {explain_notice(notice)}" for notice in line.notices)
        if notices:
            level = max(level, logging.WARNING)
        if isinstance(line, FullLine):
            if line.event_count is not None:
                what = f"{line.event_count} events in {line.message_id}"
            if line.reason is not None:
                what += f": {line.reason}"
            fields = {"code": line.code, **fields}
        pairs = _pairs({key: value for key, value in fields.items() if value is not None})
        return self._line(at, level, line.outcome, escape(f"{what}{pairs}{notices}"))

    def _line(self, at: float, level: int, word: str, text: str) -> str:
        line = f"{time.strftime('%H:%M:%S', self._local(at))} {word:<9} {text}"
        colour = self._COLOURS.get(level, "")
        return f"{colour}{line}\x1b[0m" if self._colour and colour else line


def encode_utf8(text: str) -> bytes:
    """The text as UTF-8. What UTF-8 cannot hold is written as its escape."""
    return text.encode(errors="backslashreplace")


def _pairs(fields: Mapping[str, Any]) -> str:
    return "".join(f" {key}={value}" for key, value in fields.items())
