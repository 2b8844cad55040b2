"""The two forms of a log line: JSON for machines, a short sentence for people."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, Protocol

import msgspec
from aws_lambda_powertools.logging.formatter import LambdaPowertoolsFormatter

LEVELS = {"delivered": logging.INFO, "retried": logging.INFO, "rejected": logging.WARNING}
"""How severe a message's outcome is."""

_encode = msgspec.json.Encoder().encode
_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


class Form(Protocol):
    """How lines look."""

    def record(self, record: logging.LogRecord) -> str:
        """Any record of the logging machinery."""
        ...

    def message(self, fields: Mapping[str, Any], at: float) -> str:
        """A message's line."""
        ...


class Json:
    """One JSON object a line.

    Records are formatted by powertools' formatter. A message's line has the same first fields, and
    is written by msgspec: at 50 µs a line the formatter would be an eighth of a message's work.
    """

    def __init__(self, service: str) -> None:
        self._formatter = LambdaPowertoolsFormatter(
            service=service,
            use_rfc3339=True,
            utc=True,
            log_record_order=["timestamp", "level", "service", "message"],
        )
        self._at = -1
        self._stamp = ""
        self._heads = {
            outcome: _head(logging.getLevelName(level), service, f"message {outcome}")
            for outcome, level in LEVELS.items()
        }

    def record(self, record: logging.LogRecord) -> str:
        """The record with its `extra` fields, the exception's trace among them."""
        # From Python 3.12 on every record names its task, which tells nobody anything.
        told = {name: value for name, value in vars(record).items() if name != "taskName"}
        return self._formatter.format(logging.makeLogRecord(told))

    def message(self, fields: Mapping[str, Any], at: float) -> str:
        """The fields behind those that every line has, which are ready but for the time."""
        rest = _encode(fields).decode()
        return f'{{"timestamp":"{self._time(at)}",{self._heads[fields["outcome"]]}{rest[1:]}'

    def _time(self, at: float) -> str:
        milliseconds = int(at * 1_000)
        if milliseconds != self._at:  # under load several lines have the same
            self._at = milliseconds
            moment = datetime.fromtimestamp(milliseconds / 1_000, UTC)
            self._stamp = moment.isoformat(timespec="milliseconds")
        return self._stamp


def _head(level: str, service: str, message: str) -> str:
    """The members between the time and the message's own fields, without braces."""
    head = _encode({"level": level, "service": service, "message": message}).decode()
    return f"{head[1:-1]},"


class Console:
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

    def message(self, fields: Mapping[str, Any], at: float) -> str:
        """What became of which event."""
        outcome = fields["outcome"]
        count = fields.get("event_count")
        what = (
            f"{count} events in {fields['message_id']}"
            if count is not None
            else f"{fields.get('event_name', 'a message')}"
            f" {fields.get('event_id', fields['message_id'])}"
        )
        why = f": {fields['reason']}" if "reason" in fields else ""
        told = {key: fields[key] for key in ("code", "attempts", "seconds") if key in fields}
        return self._line(at, LEVELS[outcome], outcome, f"{what}{why}{_pairs(told)}")

    def _line(self, at: float, level: int, word: str, text: str) -> str:
        line = f"{time.strftime('%H:%M:%S', self._local(at))} {word:<9} {text}"
        colour = self._COLOURS.get(level, "")
        return f"{colour}{line}\x1b[0m" if self._colour and colour else line


def _pairs(fields: Mapping[str, Any]) -> str:
    return "".join(f" {key}={value}" for key, value in fields.items())
