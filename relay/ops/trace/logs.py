"""Log lines as a source: files, standard input and CloudWatch log groups."""

from __future__ import annotations

import asyncio
import gzip
import json
import re
import shutil
import tempfile
import zlib
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import IO, Any, TextIO

from relay.aws.errors import AwsError
from relay.ops.trace.timeline import KnownIds, SourceResult, SourceUnavailable, TimelineEntry

SOURCE = "log"

Search = Callable[[str], Awaitable[tuple[Sequence[str], bool]]]
"""Finds the lines that contain a term; the bool is whether all were searched.

Raises `AwsError`.
"""

_DETAIL_FIELDS = ("attempts", "batch_events", "receive_count", "seconds", "age")


_MESSAGE_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


class LogScanner:
    """Collects timeline entries from log lines. When a message was sent is reported once.

    `not_json` counts the lines that contain a known id but are not JSON.
    """

    def __init__(self, known: KnownIds) -> None:
        self._known = known
        self._sent: set[str] = set()
        self._terms: tuple[str, ...] = ()
        self._terms_size = -1
        self.entries: list[TimelineEntry] = []
        self.not_json = 0

    def read(self, lines: Iterable[str]) -> None:
        """Collect the entries of the lines about the event; skip all other lines."""
        for line in lines:
            if self._terms_size != self._known.size:
                self._terms, self._terms_size = tuple(self._known.search_terms()), self._known.size
            # Most lines are about other events, and parsing JSON is the expensive part.
            if any(term in line for term in self._terms):
                self._read_line(line)

    def _read_line(self, line: str) -> None:
        fields = line_fields(line)
        if fields is None:
            self.not_json += 1
        else:
            self.entries += self._entries_of(fields)

    def _entries_of(self, fields: Mapping[str, Any]) -> Iterator[TimelineEntry]:
        message_id = str(fields.get("message_id", ""))
        at = line_time(fields.get("timestamp"))
        if "outcome" not in fields:
            if self._known.has_message(message_id):
                self._known.messages.add(message_id)
                yield _log_message(fields, at)
            return
        events = list(line_events(fields))
        matching = [event for event in events if self._known.has_event(str(event.get("id", "")))]
        if self._known.matches(message_id):
            matching = [event for event in events if "id" in event]
        if not matching and not self._known.has_message(message_id):
            return
        self._add_ids(message_id, matching)
        self._add_first_message(fields)
        yield from self._sent_and_received(fields, message_id, at)
        for event in matching or [fields]:
            yield _outcome(fields, event, at)

    def _add_ids(self, message_id: str, events: Iterable[Mapping[str, Any]]) -> None:
        self._known.messages.add(message_id)
        for event in events:
            self._known.events.add((str(event.get("name", "")), str(event["id"])))
            if isinstance(event.get("reference"), str):
                self._known.references.add(event["reference"])

    def _add_first_message(self, fields: Mapping[str, Any]) -> None:
        """Add the first MessageId of a redriven message, under which its earlier lines are found.

        Only an id that the producer gave is no MessageId, and then the event's id contains it.
        """
        base = fields.get("base_id")
        if isinstance(base, str) and _MESSAGE_ID.fullmatch(base):
            self._known.messages.add(base)

    def _sent_and_received(
        self, fields: Mapping[str, Any], message_id: str, at: float | None
    ) -> Iterator[TimelineEntry]:
        """When the message was sent and received, computed from the line about its outcome."""
        if at is None:
            return
        queue = fields.get("queue", "the queue")
        details = {"message_id": message_id, "queue": queue}
        if "age" in fields and message_id not in self._sent:
            self._sent.add(message_id)
            sent = at - float(fields["age"])
            what = f"{'redriven' if fields.get('hops') else 'sent'} to {queue}"
            yield TimelineEntry(at=sent, source=SOURCE, what=what, details=details)
        count = fields.get("receive_count", 1)
        again = f" for the {_ordinal(int(count))} time" if count != 1 else ""
        received = at - float(fields.get("seconds", 0.0))
        yield TimelineEntry(
            at=received, source=SOURCE, what=f"received from {queue}{again}", details=details
        )


def _outcome(
    fields: Mapping[str, Any], event: Mapping[str, Any], at: float | None
) -> TimelineEntry:
    outcome = str(event.get("outcome", fields["outcome"]))
    message_id = str(fields.get("message_id", ""))
    details = {key: fields[key] for key in _DETAIL_FIELDS if key in fields} | dict(event)
    details = {k: v for k, v in details.items() if k not in ("events", "data", "body")}
    details["message_id"] = message_id
    what = {
        "delivered": _delivered,
        "retried": lambda e: f"not delivered, will be retried: {e.get('reason', '')}",
        "rejected": _rejected,
    }.get(outcome, lambda _: outcome)(event)
    return TimelineEntry(at=at, source=SOURCE, what=what, details=details)


def _delivered(event: Mapping[str, Any]) -> str:
    if event.get("duplicate"):
        return "not sent again: already delivered"
    reference = f" as {event['reference']}" if "reference" in event else ""
    attempts = event.get("attempts", 1)
    return f"delivered{reference}" + (f" at attempt {attempts}" if attempts != 1 else "")


def _rejected(event: Mapping[str, Any]) -> str:
    doubt = "; it may have run" if event.get("may_have_run") else ""
    code, reason = event.get("code", "unknown"), event.get("reason", "")
    return f"dead-lettered as {code}: {reason}{doubt}"


def _log_message(fields: Mapping[str, Any], at: float | None) -> TimelineEntry:
    what = str(fields.get("message", ""))
    return TimelineEntry(
        at=at, source=SOURCE, what=what, details={"message_id": fields["message_id"]}
    )


def line_events(fields: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """The events of a message's line, each with its `id` and `name` where they are known."""
    if isinstance(fields.get("events"), list):
        yield from (event for event in fields["events"] if isinstance(event, dict))
    elif "event_id" in fields:
        named = {"id": fields["event_id"], "name": fields.get("event_name", "")}
        yield {**fields, **named}


def line_fields(line: str) -> dict[str, Any] | None:
    """The line's JSON object, after any prefix that a log daemon added."""
    start = line.find("{")
    if start < 0:
        return None
    try:
        found = json.loads(line[start:])
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def line_time(text: Any) -> float | None:
    """Epoch seconds of a line's timestamp; None if it is none."""
    try:
        return datetime.fromisoformat(text).timestamp()
    except (TypeError, ValueError):
        return None


def _ordinal(count: int) -> str:
    special = {1: "st", 2: "nd", 3: "rd"}
    teens = 10 < count % 100 < 20  # noqa: PLR2004 - English has 11th, 12th and 13th
    return f"{count}{'th' if teens else special.get(count % 10, 'th')}"


class LogFileSource:
    """Log files, plain or `.gz`."""

    name = "log files"

    def __init__(self, paths: Sequence[Path]) -> None:
        self._paths = paths

    async def find(self, known: KnownIds) -> SourceResult:
        """Read every file again: newly known ids may be on lines that were skipped before."""
        return await asyncio.to_thread(self._scan, known)

    def _scan(self, known: KnownIds) -> SourceResult:
        scanner, gaps = LogScanner(known), list[str]()
        for path in self._paths:
            try:
                with open_log(path) as lines:
                    scanner.read(lines)
            except (OSError, EOFError, zlib.error) as error:
                reason = getattr(error, "strerror", None) or error
                gaps.append(f"{path} cannot be read: {reason}")
        if scanner.not_json and not scanner.entries:
            gaps.append(f"{scanner.not_json} lines contain the id but are not JSON from the relay")
        return SourceResult(tuple(scanner.entries), "; ".join(gaps) or None)


class LogGroupSource:
    """A CloudWatch log group, searched for one id at a time."""

    name = "log group"

    def __init__(self, search: Search) -> None:
        self._search = search
        self._lines: dict[str, Sequence[str]] = {}
        self._complete = True

    async def find(self, known: KnownIds) -> SourceResult:
        """Search for the ids that were not searched for yet.

        Raises:
            SourceUnavailable: CloudWatch did not answer.
        """
        try:
            for term in sorted(known.search_terms() - self._lines.keys()):
                self._lines[term], complete = await self._search(term)
                self._complete = self._complete and complete
        except AwsError as error:
            raise SourceUnavailable(error.sentence) from error
        scanner = LogScanner(known)
        scanner.read(dict.fromkeys(line for lines in self._lines.values() for line in lines))
        gap = (
            None
            if self._complete
            else "not all lines could be searched: narrow the time with --since"
        )
        return SourceResult(tuple(scanner.entries), gap)


@contextmanager
def spooled(stream: TextIO) -> Iterator[Path]:
    """Copy the stream to a temporary file, which can be read more than once."""
    with tempfile.NamedTemporaryFile("w", suffix=".log", encoding="utf-8") as file:
        shutil.copyfileobj(stream, file)
        file.flush()
        yield Path(file.name)


def open_log(path: Path) -> IO[str]:
    """Open a log file to read its lines, decompressed if its name ends in `.gz`."""
    if path.name.endswith(".gz"):
        return gzip.open(path, "rt", encoding="utf-8", errors="replace")
    return path.open(encoding="utf-8", errors="replace")
