"""What log lines tell about an event."""

from __future__ import annotations

import asyncio
import gzip
import json
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
_SHOWN = ("attempts", "batch_events", "receive_count", "seconds", "age")


class LogScanner:
    """Collects the moments of many lines; each message's sending is told once.

    `unread` counts lines that hold a name that is known, and are not JSON.
    """

    def __init__(self, known: KnownIds) -> None:
        self._known = known
        self._sent: set[str] = set()
        self._words: tuple[str, ...] = ()
        self._words_of = -1
        self.moments: list[TimelineEntry] = []
        self.unread = 0

    def read(self, lines: Iterable[str]) -> None:
        """Take from the lines what belongs to the story; others and text are passed over."""
        for line in lines:
            if self._words_of != self._known.size:
                self._words, self._words_of = tuple(self._known.words()), self._known.size
            # Most lines are about something else, and reading their JSON is what takes time.
            if any(word in line for word in self._words):
                self._take(line)

    def _take(self, line: str) -> None:
        fields = _fields(line)
        if fields is None:
            self.unread += 1
        else:
            self.moments += self._of(fields)

    def _of(self, fields: Mapping[str, Any]) -> Iterator[TimelineEntry]:
        message_id = str(fields.get("message_id", ""))
        at = _moment(fields.get("timestamp"))
        if "outcome" not in fields:
            if self._known.has_message(message_id):
                self._known.messages.add(message_id)
                yield _remark(fields, at)
            return
        entries = list(_entries(fields))
        mine = [entry for entry in entries if self._known.has_event(str(entry.get("id", "")))]
        if self._known.means(message_id):
            mine = [entry for entry in entries if "id" in entry]
        if not mine and not self._known.has_message(message_id):
            return
        self._note(message_id, mine)
        yield from self._travel(fields, message_id, at)
        for entry in mine or [fields]:
            yield _end(fields, entry, at)

    def _note(self, message_id: str, mine: Iterable[Mapping[str, Any]]) -> None:
        self._known.messages.add(message_id)
        for entry in mine:
            self._known.events.add((str(entry.get("name", "")), str(entry["id"])))
            if isinstance(entry.get("reference"), str):
                self._known.references.add(entry["reference"])

    def _travel(
        self, fields: Mapping[str, Any], message_id: str, at: float | None
    ) -> Iterator[TimelineEntry]:
        """When it was sent and received, which the line at its end tells too."""
        if at is None:
            return
        queue = fields.get("queue", "the queue")
        told = {"message_id": message_id, "queue": queue}
        if "age" in fields and message_id not in self._sent:
            self._sent.add(message_id)
            sent = at - float(fields["age"])
            yield TimelineEntry(at=sent, source=SOURCE, what=f"sent to {queue}", details=told)
        count = fields.get("receive_count", 1)
        what = f"received from {queue}" + (f", the {_th(int(count))} time" if count != 1 else "")
        received = at - float(fields.get("seconds", 0.0))
        yield TimelineEntry(at=received, source=SOURCE, what=what, details=told)


def _end(fields: Mapping[str, Any], entry: Mapping[str, Any], at: float | None) -> TimelineEntry:
    outcome = str(entry.get("outcome", fields["outcome"]))
    message_id = str(fields.get("message_id", ""))
    details = {key: fields[key] for key in _SHOWN if key in fields} | dict(entry)
    details = {k: v for k, v in details.items() if k not in ("events", "data", "body")}
    details["message_id"] = message_id
    what = {
        "delivered": _delivered,
        "retried": lambda e: f"not delivered, it comes again: {e.get('reason', '')}",
        "rejected": _rejected,
    }.get(outcome, lambda _: outcome)(entry)
    return TimelineEntry(at=at, source=SOURCE, what=what, details=details)


def _delivered(entry: Mapping[str, Any]) -> str:
    if entry.get("duplicate"):
        return "not sent again: it was delivered before"
    reference = f" as {entry['reference']}" if "reference" in entry else ""
    attempts = entry.get("attempts", 1)
    return f"delivered{reference}" + (f", at attempt {attempts}" if attempts != 1 else "")


def _rejected(entry: Mapping[str, Any]) -> str:
    doubt = "; it may have run" if entry.get("may_have_run") else ""
    code, reason = entry.get("code", "unknown"), entry.get("reason", "")
    return f"dead-lettered as {code}: {reason}{doubt}"


def _remark(fields: Mapping[str, Any], at: float | None) -> TimelineEntry:
    what = str(fields.get("message", ""))
    return TimelineEntry(
        at=at, source=SOURCE, what=what, details={"message_id": fields["message_id"]}
    )


def _entries(fields: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    if isinstance(fields.get("events"), list):
        yield from (entry for entry in fields["events"] if isinstance(entry, dict))
    elif "event_id" in fields:
        named = {"id": fields["event_id"], "name": fields.get("event_name", "")}
        yield {**fields, **named}


def _fields(line: str) -> dict[str, Any] | None:
    """The line's JSON object, behind whatever prefix a log daemon gave it."""
    start = line.find("{")
    if start < 0:
        return None
    try:
        found = json.loads(line[start:])
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def _moment(text: Any) -> float | None:
    try:
        return datetime.fromisoformat(text).timestamp()
    except (TypeError, ValueError):
        return None


def _th(count: int) -> str:
    special = {1: "st", 2: "nd", 3: "rd"}
    teens = 10 < count % 100 < 20  # noqa: PLR2004 - English has 11th, 12th and 13th
    return f"{count}{'th' if teens else special.get(count % 10, 'th')}"


Search = Callable[[str], Awaitable[tuple[Sequence[str], bool]]]
"""The lines that hold a word, and whether all were looked at. Raises `AwsError`."""


class LogFileSource:
    """Files of log lines, `.gz` ones among them."""

    name = "log files"

    def __init__(self, paths: Sequence[Path]) -> None:
        self._paths = paths

    async def find(self, known: KnownIds) -> SourceResult:
        """Read every file once more: what is known now may be on lines passed over before."""
        return await asyncio.to_thread(self._read, known)

    def _read(self, known: KnownIds) -> SourceResult:
        reading, gaps = LogScanner(known), list[str]()
        for path in self._paths:
            try:
                with _opened(path) as lines:
                    reading.read(lines)
            except (OSError, EOFError, zlib.error) as error:
                reason = getattr(error, "strerror", None) or error
                gaps.append(f"{path} cannot be read: {reason}")
        if reading.unread and not reading.moments:
            gaps.append(f"{reading.unread} lines that speak of it are not the relay's JSON")
        return SourceResult(tuple(reading.moments), "; ".join(gaps) or None)


class LogGroupSource:
    """A log group of CloudWatch, searched for each name by itself."""

    name = "log group"

    def __init__(self, search: Search) -> None:
        self._search = search
        self._lines: dict[str, Sequence[str]] = {}
        self._whole = True

    async def find(self, known: KnownIds) -> SourceResult:
        """Search for the names that were not searched for yet.

        Raises:
            Unreached: CloudWatch did not answer.
        """
        try:
            for word in sorted(known.words() - self._lines.keys()):
                self._lines[word], whole = await self._search(word)
                self._whole = self._whole and whole
        except AwsError as error:
            raise SourceUnavailable(error.sentence) from error
        reading = LogScanner(known)
        reading.read(dict.fromkeys(line for lines in self._lines.values() for line in lines))
        gap = None if self._whole else "there was more than could be searched: narrow it by --since"
        return SourceResult(tuple(reading.moments), gap)


@contextmanager
def spooled(stream: TextIO) -> Iterator[Path]:
    """What the stream holds, as a file that can be read more than once."""
    with tempfile.NamedTemporaryFile("w", suffix=".log", encoding="utf-8") as file:
        shutil.copyfileobj(stream, file)
        file.flush()
        yield Path(file.name)


def _opened(path: Path) -> IO[str]:
    if path.name.endswith(".gz"):
        return gzip.open(path, "rt", encoding="utf-8", errors="replace")
    return path.open(encoding="utf-8", errors="replace")
