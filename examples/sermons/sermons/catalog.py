"""Everything the archive knows, in one SQLite file: sermons, their parts, vectors, effects.

Each write may be repeated: a step that died after it and is run again changes nothing. What the
outside world would notice (a transcription paid for, an announcement sent) is also written to
`effects`, once for each time it happened, so that doing it twice would show.
"""

from __future__ import annotations

import json
import sqlite3
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from sermons import embedding

_TABLES = """
CREATE TABLE IF NOT EXISTS sermons (
    id TEXT PRIMARY KEY,
    version TEXT NOT NULL,
    seconds REAL NOT NULL DEFAULT 0,
    chunks INTEGER NOT NULL DEFAULT 0,
    transcript TEXT,
    vector BLOB,
    announced_at INTEGER,
    reminded_at INTEGER,
    error TEXT
) STRICT;
CREATE TABLE IF NOT EXISTS effects (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    sermon TEXT NOT NULL,
    version TEXT NOT NULL,
    effect TEXT NOT NULL,
    detail TEXT NOT NULL
) STRICT;
CREATE TABLE IF NOT EXISTS reports (day TEXT PRIMARY KEY, counts TEXT NOT NULL) STRICT;
"""


@dataclass(frozen=True, kw_only=True)
class Sermon:
    """One recording. `version` is the upload's; the same id uploaded again is a new version.

    Attributes:
        seconds: its length, 0 until it was measured.
        chunks: of its stream, 0 until it was transcoded.
        transcript: None until it was transcribed; may be empty.
        searchable: whether its vector is stored.
        error: why it cannot be published.
    """

    id: str
    version: str
    seconds: float
    chunks: int
    transcript: str | None
    searchable: bool
    announced_at: int | None
    reminded_at: int | None
    error: str | None

    @property
    def title(self) -> str:
        """The name of the uploaded object, as words."""
        return self.id.replace("-", " ").capitalize()

    @property
    def state(self) -> str:
        """The furthest step that is done."""
        if self.error is not None:
            return "failed"
        if self.announced_at is not None:
            return "announced"
        done = {
            "transcoded": self.chunks > 0,
            "transcribed": self.transcript is not None,
            "searchable": self.searchable,
        }
        return " and ".join(name for name, is_done in done.items() if is_done) or "uploaded"

    @property
    def complete(self) -> bool:
        """Whether it can be played and found."""
        return self.chunks > 0 and self.searchable


class Catalog:
    """The archive in a file. Several processes may use it at once."""

    def __init__(self, path: Path) -> None:
        self._database = sqlite3.connect(
            path, timeout=30, isolation_level=None, check_same_thread=False
        )
        self._database.row_factory = sqlite3.Row
        self._database.execute("PRAGMA journal_mode = WAL")
        self._database.executescript(_TABLES)

    def close(self) -> None:
        """Close the file."""
        self._database.close()

    def add(self, sermon: str, version: str) -> None:
        """Add a sermon, or replace an older version of it and everything known about that one."""
        self._database.execute(
            "INSERT INTO sermons (id, version) VALUES (?, ?) ON CONFLICT (id) DO UPDATE SET"
            " version = excluded.version, seconds = 0, chunks = 0, transcript = NULL,"
            " vector = NULL, announced_at = NULL, reminded_at = NULL, error = NULL"
            " WHERE version < excluded.version",
            (sermon, version),
        )

    def measured(self, sermon: str, version: str, seconds: float) -> None:
        """Store the length."""
        self._set(sermon, version, "seconds", seconds)

    def transcoded(self, sermon: str, version: str, chunks: int) -> None:
        """Store how many chunks the stream has."""
        with self._effect(sermon, version, "transcoded"):
            self._set(sermon, version, "chunks", chunks)

    def transcribed(self, sermon: str, version: str, transcript: str) -> None:
        """Store what was said."""
        with self._effect(sermon, version, "transcribed", transcript):
            self._set(sermon, version, "transcript", transcript)

    def embedded(self, sermon: str, version: str, vector: bytes) -> None:
        """Store the vector: from now on, the sermon can be found."""
        with self._effect(sermon, version, "embedded"):
            self._set(sermon, version, "vector", vector)

    def announce(self, sermon: str, version: str, now: int) -> bool:
        """Announce a sermon unless it was announced; whether this call did it.

        What failed before was repaired by then: its error goes.
        """
        self._set(sermon, version, "error", None)
        return self._once(sermon, version, "announced", now)

    def remind(self, sermon: str, version: str, now: int) -> bool:
        """Remind of a sermon unless that was done; whether this call did it."""
        return self._once(sermon, version, "reminded", now)

    def failed(self, sermon: str, version: str, error: str) -> None:
        """Store why a sermon cannot be published."""
        with self._effect(sermon, version, "failed", error):
            self._set(sermon, version, "error", error)

    def report(self, day: str) -> dict[str, int]:
        """Count the sermons by state, and keep the result as this day's report."""
        counts = dict(Counter(sermon.state for sermon in self.sermons()))
        self._database.execute(
            "INSERT OR REPLACE INTO reports VALUES (?, ?)", (day, json.dumps(counts))
        )
        return counts

    def reports(self) -> dict[str, dict[str, int]]:
        """The reports by day."""
        rows = self._database.execute("SELECT day, counts FROM reports ORDER BY day")
        return {row["day"]: json.loads(row["counts"]) for row in rows}

    def get(self, sermon: str) -> Sermon | None:
        """A sermon, None if there is none with this id."""
        row = self._database.execute("SELECT * FROM sermons WHERE id = ?", (sermon,)).fetchone()
        return None if row is None else _sermon(row)

    def sermons(self) -> list[Sermon]:
        """Every sermon, by id."""
        return [_sermon(row) for row in self._database.execute("SELECT * FROM sermons ORDER BY id")]

    def search(self, question: bytes, limit: int = 5) -> list[tuple[float, Sermon]]:
        """The sermons whose meaning is nearest to a vector, best first, with their similarity."""
        rows = self._database.execute("SELECT * FROM sermons WHERE vector IS NOT NULL").fetchall()
        if not rows:
            return []
        matrix = np.stack([embedding.vector(row["vector"]) for row in rows])
        scores = matrix @ embedding.vector(question)
        best = np.argsort(-scores, kind="stable")[:limit]
        return [(float(scores[place]), _sermon(rows[place])) for place in best]

    def effects(self) -> Counter[tuple[str, str]]:
        """How often each effect happened to each sermon, by sermon and effect."""
        rows = self._database.execute("SELECT sermon, effect FROM effects")
        return Counter((row["sermon"], row["effect"]) for row in rows)

    def _set(self, sermon: str, version: str, column: str, value: Any) -> None:
        """Write into one version only: a late step of an older one changes nothing."""
        self._database.execute(
            f"UPDATE sermons SET {column} = ? WHERE id = ? AND version = ?",  # noqa: S608 - our names
            (value, sermon, version),
        )

    def _once(self, sermon: str, version: str, effect: str, now: int) -> bool:
        column = f"{effect}_at"
        with self._transaction():
            changed = self._database.execute(
                f"UPDATE sermons SET {column} = ?"  # noqa: S608 - our own names
                f" WHERE id = ? AND version = ? AND {column} IS NULL",
                (now, sermon, version),
            ).rowcount
            self._note(sermon, version, effect if changed else f"{effect} again", "")
        return bool(changed)

    @contextmanager
    def _effect(self, sermon: str, version: str, effect: str, detail: str = "") -> Iterator[None]:
        with self._transaction():
            yield
            self._note(sermon, version, effect, detail)

    def _note(self, sermon: str, version: str, effect: str, detail: str) -> None:
        self._database.execute(
            "INSERT INTO effects (sermon, version, effect, detail) VALUES (?, ?, ?, ?)",
            (sermon, version, effect, detail),
        )

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        self._database.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self._database.execute("ROLLBACK")
            raise
        self._database.execute("COMMIT")


def _sermon(row: sqlite3.Row) -> Sermon:
    values = {name: row[name] for name in row.keys() if name != "vector"}  # noqa: SIM118 - not a dict
    return Sermon(searchable=row["vector"] is not None, **values)
