"""The state of an audit in a file: the accepted events and their runs, as far as they were read.

It is a SQLite database, so that memory is bounded whatever the number of events, and what was read
survives a kill. It has names and ids, and no payloads.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import msgspec

from relay.ops.audit.accepted import Accepted
from relay.output.private_files import create_private

FORMAT = 1

_SCHEMA = """
CREATE TABLE about (key TEXT PRIMARY KEY, value TEXT) WITHOUT ROWID;
CREATE TABLE events (
  reference TEXT PRIMARY KEY, name TEXT, id TEXT, at REAL, stored INTEGER, looked_at REAL
) WITHOUT ROWID;
CREATE TABLE runs (
  reference TEXT, run TEXT, function TEXT, status TEXT, PRIMARY KEY (reference, run)
) WITHOUT ROWID;
CREATE INDEX names ON events (name, id);
CREATE INDEX pending ON events (reference) WHERE looked_at IS NULL;
"""
_ROWS = """
SELECT e.name, e.id, e.reference, e.at, e.stored, e.looked_at, r.run, r.function, r.status
FROM events e LEFT JOIN runs r USING (reference)
WHERE e.looked_at IS NOT NULL ORDER BY e.name, e.id, e.reference
"""


_DAMAGE = (sqlite3.DatabaseError, msgspec.MsgspecError, ValueError, TypeError, AttributeError)
"""What reading a file can raise that is no state file, or is damaged."""


class StateConflict(Exception):
    """The file cannot be used for this audit. The text is a sentence."""


@dataclass(frozen=True, slots=True)
class Run:
    """A run: the orchestrator's id of it, its function, and its status in lower case."""

    run: str
    function: str
    status: str


@dataclass(frozen=True, slots=True)
class Looked:
    """An event as it was looked up: whether it is stored, and its runs."""

    event: Accepted
    looked_at: float
    stored: bool
    runs: Sequence[Run]


@dataclass(frozen=True, slots=True)
class EventRuns:
    """An event with the runs of all its copies: the same name and id may be accepted repeatedly.

    Attributes:
        name: its name.
        id: its own id.
        references: the orchestrator's ids of its copies.
        at: when it was first accepted, in epoch seconds; None if that is unknown.
        looked_at: when it was last looked up.
        stored: whether a copy is stored.
        runs: each run once.
    """

    name: str
    id: str
    references: tuple[str, ...]
    at: float | None
    looked_at: float
    stored: bool
    runs: tuple[Run, ...]


class AuditState:
    """One audit's file, for as long as the block runs.

    Args:
        path: the file; made unless it exists.
        options: what has to be the same when the audit is resumed, as JSON values.
        fixed: values that are kept from the first start, such as the limits of the time window.

    Raises:
        StateConflict: the file is of another audit, in use, or no such file.
        OSError: it cannot be written.
    """

    def __init__(self, path: Path, options: Mapping[str, Any], fixed: Mapping[str, Any]) -> None:
        self.path = path
        if not path.exists():
            create_private(path).close()
        self._database = sqlite3.connect(path, isolation_level=None, timeout=0.0)
        try:
            with self._usable():
                self._open(options, fixed)
        except BaseException:
            self._database.close()
            raise

    def _open(self, options: Mapping[str, Any], fixed: Mapping[str, Any]) -> None:
        self._database.execute("PRAGMA locking_mode = EXCLUSIVE")
        self._database.execute("PRAGMA synchronous = NORMAL")
        with self._transaction():
            tables = {row[0] for row in self._database.execute("SELECT name FROM sqlite_master")}
            if not tables:
                self._create(options, fixed)
            elif "about" not in tables or self.value("format") != FORMAT:
                raise StateConflict(f"{self.path} is not a state file of this version's audit")
        self.fixed: Mapping[str, Any] = self.value("fixed")
        before = self.value("options")
        differing = sorted(n for n in {*before, *options} if before.get(n) != options.get(n))
        if differing:
            raise StateConflict(
                f"{self.path} is of an audit with other options ({', '.join(differing)}): use the"
                " same ones to finish it, or name another file"
            )

    def _create(self, options: Mapping[str, Any], fixed: Mapping[str, Any]) -> None:
        for statement in _SCHEMA.split(";"):
            self._database.execute(statement)
        for key, value in (("format", FORMAT), ("options", dict(options)), ("fixed", dict(fixed))):
            self._set(key, value)

    def __enter__(self) -> Self:
        """Use it within the block."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Close the file."""
        self._database.close()

    def value(self, key: str) -> Any:
        """A value that was set before; None if it was not."""
        with self._usable():
            query = "SELECT value FROM about WHERE key = ?"
            row = self._database.execute(query, (key,)).fetchone()
            return None if row is None else msgspec.json.decode(row[0])

    def add(self, events: Iterable[Accepted], **values: Any) -> None:
        """Add accepted events, those that are known already excepted, and set values with them."""
        rows = [(one.reference, one.name, one.id, one.at) for one in events]
        with self._usable(), self._transaction():
            self._database.executemany(
                "INSERT OR IGNORE INTO events VALUES (?, ?, ?, ?, 1, NULL)", rows
            )
            for key, value in values.items():
                self._set(key, value)

    def pending(self, limit: int) -> list[Accepted]:
        """Events that were not looked up yet."""
        query = "SELECT reference, name, id, at FROM events WHERE looked_at IS NULL LIMIT ?"
        with self._usable():
            return [Accepted(*row) for row in self._database.execute(query, (limit,))]

    def looked_up(self, events: Iterable[Looked], **values: Any) -> None:
        """Record what was found."""
        with self._usable(), self._transaction():
            for one in events:
                self._record(one)
            for key, value in values.items():
                self._set(key, value)

    def remove(self, references: Iterable[str]) -> None:
        """Remove events that turned out not to belong to the audit."""
        with self._usable(), self._transaction():
            rows = [(reference,) for reference in references]
            self._database.executemany("DELETE FROM events WHERE reference = ?", rows)

    def forget_unfinished(self) -> None:
        """Have everything looked up again that was not at its end: runs under way, and no runs."""
        with self._usable(), self._transaction():
            self._database.execute(
                "UPDATE events SET looked_at = NULL WHERE reference NOT IN"
                " (SELECT reference FROM runs) OR reference IN (SELECT reference FROM runs"
                " WHERE status NOT IN ('completed', 'failed', 'cancelled'))"
            )

    def count(self) -> tuple[int, int]:
        """How many references are known, and how many of them were looked up."""
        query = "SELECT count(*), count(looked_at) FROM events"
        with self._usable():
            known, looked = self._database.execute(query).fetchone()
            return int(known), int(looked)

    def has(self, name: str, ident: str) -> bool:
        """Whether an event of this name and id was accepted."""
        query = "SELECT 1 FROM events WHERE name = ? AND id = ? LIMIT 1"
        with self._usable():
            return self._database.execute(query, (name, ident)).fetchone() is not None

    def events(self) -> Iterator[EventRuns]:
        """The events that were looked up, in order of name and id, the copies of one together."""
        with self._usable():
            rows = self._database.execute(_ROWS)
            # An id that is unknown, of an event that is not stored, is no one else's.
            for _, group in groupby(rows, key=lambda row: (row[0], row[1] or row[2])):
                yield _event(list(group))

    def _record(self, looked: Looked) -> None:
        event = looked.event
        self._database.execute(
            "UPDATE events SET name = ?, id = ?, at = ?, stored = ?, looked_at = ?"
            " WHERE reference = ?",
            (event.name, event.id, event.at, looked.stored, looked.looked_at, event.reference),
        )
        self._database.executemany(
            "INSERT OR REPLACE INTO runs VALUES (?, ?, ?, ?)",
            [(event.reference, run.run, run.function, run.status) for run in looked.runs],
        )

    def _set(self, key: str, value: Any) -> None:
        row = key, msgspec.json.encode(value).decode()
        self._database.execute("INSERT OR REPLACE INTO about VALUES (?, ?)", row)

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        self._database.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self._database.execute("ROLLBACK")
            raise
        self._database.execute("COMMIT")

    @contextmanager
    def _usable(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.OperationalError as error:
            if "locked" in str(error):
                raise StateConflict(f"another process is using {self.path}") from error
            raise OSError(0, f"{self.path} cannot be used: {error}") from error
        except _DAMAGE as error:
            raise StateConflict(f"{self.path} is not a state file of an audit: {error}") from error


def _event(rows: Sequence[tuple[Any, ...]]) -> EventRuns:
    name, ident = rows[0][:2]
    times = [row[3] for row in rows if row[3] is not None]
    runs = {row[6]: Run(*row[6:]) for row in rows if row[6] is not None}
    return EventRuns(
        name=name,
        id=ident,
        references=tuple(dict.fromkeys(row[2] for row in rows)),
        at=min(times, default=None),
        looked_at=max(row[5] for row in rows),
        stored=any(row[4] for row in rows),
        runs=tuple(runs.values()),
    )
