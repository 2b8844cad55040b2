"""An index of a snapshot: 100,000 dead letters are read once, and each page is a query."""

from __future__ import annotations

import asyncio
import itertools
import json
import sqlite3
import weakref
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping
from typing import Any

from relay.console.dead_letter_rows import (
    COLUMNS,
    Entry,
    GroupEntry,
    Query,
    Totals,
    entry_of,
    group_of,
    message_of,
    predictions_of,
    row_of,
    storable,
    stored_message,
)
from relay.dlq.dead_letter import DeadLetter
from relay.dlq.prediction import MEANING, Prediction
from relay.dlq.snapshot import Head
from relay.model.message import Message

BATCH = 500
"""Dead letters that are written at once."""

TURN = 20
"""Dead letters that are read before other requests get their turn."""

MAX_SEARCHES = 20
"""Results of searches to keep. One of an older search is searched for again."""

_SCHEMA = """
CREATE TABLE dead_letters (
  number INTEGER PRIMARY KEY, message_id TEXT, ids TEXT, names TEXT,
  name TEXT, code TEXT, source TEXT, hour TEXT, shape TEXT, reason TEXT,
  first_sent REAL, expires REAL, exact INTEGER, events INTEGER, hops INTEGER, prediction TEXT,
  beginning BLOB
);
CREATE TABLE messages (number INTEGER PRIMARY KEY, fields BLOB, body BLOB);
"""
_INSERT = f"INSERT INTO dead_letters (number, {COLUMNS}) VALUES ({', '.join('?' * 17)})"

_PREDICTED = ", ".join("sum(prediction = ?)" for _ in MEANING)


class DeadLetterIndex:
    """The dead letters of one snapshot, in a temporary database that lives as long as the index.

    Args:
        head: of the snapshot.
    """

    def __init__(self, head: Head) -> None:
        self.head = head
        self.count = 0
        # A query may take a few hundred milliseconds, so a thread makes it, one at a time. The name
        # "" means a file that only this process sees (sqlite.org, "In-Memory Databases").
        self._database = sqlite3.connect("", check_same_thread=False, isolation_level=None)
        weakref.finalize(self, self._database.close)
        self._turn, self._searching = asyncio.Lock(), asyncio.Lock()
        self._searches: dict[str, str] = {}
        self._names = itertools.count()
        self._database.executescript("PRAGMA journal_mode=OFF; PRAGMA synchronous=OFF;" + _SCHEMA)

    async def fill(
        self,
        messages: Iterable[Message],
        read: Callable[[Message], Awaitable[DeadLetter]],
        predict: Callable[[DeadLetter], Prediction],
        progress: Callable[[int], None] = lambda _count: None,
    ) -> None:
        """Add all messages.

        Args:
            messages: those of the snapshot; see `Snapshot` for what iterating it raises.
            read: reads a dead letter, with its payload if that can be fetched.
            predict: what would happen to it without a look at the ledger.
            progress: called with the number of messages so far.
        """
        batch: list[tuple[DeadLetter, Prediction]] = []
        for message in messages:
            dead_letter = await read(message)
            batch.append((dead_letter, predict(dead_letter)))
            if len(batch) % TURN == 0:
                await asyncio.sleep(0)
            if len(batch) == BATCH:
                self._write(batch)
                batch.clear()
                progress(self.count)
        self._write(batch)
        self._database.execute("CREATE INDEX latest ON dead_letters (first_sent DESC, number)")
        progress(self.count)

    async def totals(self, query: Query, now: float) -> Totals:
        """How many match."""
        where, values = await self._where(query)
        statement = (
            "SELECT count(*), coalesce(sum(events), 0), coalesce(sum(exact AND expires <= ?), 0),"
            f" min(CASE WHEN NOT exact OR expires > ? THEN expires END), {_PREDICTED}"
            f" FROM dead_letters {where}"
        )
        found = await self._select(statement, (now, now, *MEANING, *values))
        count, events, expired, first, *predicted = found[0]
        return Totals(
            count=count,
            events=events,
            expired=expired,
            first_expiry=first,
            predictions=predictions_of(predicted),
        )

    async def groups(self, by: tuple[str, ...], query: Query, limit: int) -> list[GroupEntry]:
        """The groups with the same values of these columns, the largest first."""
        where, values = await self._where(query)
        columns = ", ".join(by)
        rows = await self._select(
            f"SELECT {columns}, count(*), sum(events), min(first_sent), max(first_sent),"
            f" min(expires), min(reason), min(message_id), {_PREDICTED}"
            f" FROM dead_letters {where} GROUP BY {columns} ORDER BY count(*) DESC, {columns}"
            " LIMIT ?",
            (*MEANING, *values, limit),
        )
        return [group_of(by, row) for row in rows]

    async def entries(self, query: Query, *, offset: int, limit: int) -> list[Entry]:
        """The dead letters that match, the latest first."""
        where, values = await self._where(query)
        # Sorted before the other columns are read: that is all in an index for most pages.
        shown = (
            f"SELECT number FROM dead_letters {where}"
            " ORDER BY first_sent DESC, number LIMIT ? OFFSET ?"
        )
        rows = await self._select(
            "SELECT message_id, name, code, source, reason, first_sent, expires, exact, events,"
            f" hops, prediction, beginning FROM dead_letters WHERE number IN ({shown})"
            " ORDER BY first_sent DESC, number",
            (*values, limit, offset),
        )
        return [entry_of(row) for row in rows]

    async def message_ids(self, query: Query) -> list[str]:
        """The MessageIds of all that match."""
        where, values = await self._where(query)
        rows = await self._select(f"SELECT message_id FROM dead_letters {where}", values)
        return [row[0] for row in rows]

    async def filtered(self, said: Mapping[str, str]) -> list[str]:
        """The MessageIds of what a command's filters with these values match.

        A filter by name matches a dead letter of several events if any of them has the name, where
        a group has the name of the first.
        """
        any_of_them = "instr(char(10) || names || char(10), char(10) || ? || char(10))"
        conditions = " AND ".join(any_of_them if n == "name" else f"{n} = ?" for n in said)
        rows = await self._select(
            f"SELECT message_id FROM dead_letters WHERE {conditions}",
            tuple(map(storable, said.values())),
        )
        return [row[0] for row in rows]

    async def with_ids(self, wanted: Collection[str]) -> list[str]:
        """The MessageIds of what has one of these ids: as MessageId, base id or id of an event."""
        ids = frozenset(wanted)

        def matching(rows: Iterable[tuple[str, str]]) -> list[str]:
            return [found for found, texts in rows if not ids.isdisjoint(texts.split("\n"))]

        async with self._turn:
            return await asyncio.to_thread(
                lambda: matching(self._database.execute("SELECT message_id, ids FROM dead_letters"))
            )

    async def find(self, ident: str) -> list[Message]:
        """The messages with this MessageId, base id or event id; at most ten."""
        rows = await self._select(
            "SELECT fields, body FROM dead_letters JOIN messages USING (number)"
            " WHERE message_id = ? OR instr(ids, ?) ORDER BY message_id = ? DESC LIMIT 10",
            (storable(ident), f"\n{storable(ident)}\n", storable(ident)),
        )
        return [message_of(*row) for row in rows]

    async def with_id_like(self, text: str, limit: int) -> list[Message]:
        """The messages with an id that contains the text."""
        rows = await self._select(
            "SELECT fields, body FROM messages WHERE number IN"
            " (SELECT number FROM dead_letters WHERE instr(ids, ?) LIMIT ?)",
            (storable(text), limit),
        )
        return [message_of(*row) for row in rows]

    def _write(self, batch: list[tuple[DeadLetter, Prediction]]) -> None:
        numbers = range(self.count, self.count + len(batch))
        rows = [(n, *row_of(*one, self.head)) for n, one in zip(numbers, batch, strict=True)]
        messages = [
            (n, *stored_message(one.message)) for n, (one, _) in zip(numbers, batch, strict=True)
        ]
        self._database.execute("BEGIN")
        self._database.executemany(_INSERT, rows)
        self._database.executemany("INSERT INTO messages VALUES (?, ?, ?)", messages)
        self._database.execute("COMMIT")
        self.count += len(batch)

    async def _where(self, query: Query) -> tuple[str, tuple[Any, ...]]:
        """The condition, with a placeholder for each value."""
        conditions, values = list[str](), list[Any]()
        for name, value in query.given.items():
            if name != "text":
                conditions.append(f"{name} = ?")
                values.append(storable(value))
        if text := storable(query.text.strip()):
            conditions.append(f"number IN (SELECT number FROM {await self._found(text)})")
        return f"WHERE {' AND '.join(conditions)}" if conditions else "", tuple(values)

    async def _found(self, text: str) -> str:
        """The table of the dead letters that contain the text. A search reads all bodies once."""
        async with self._searching:
            if (table := self._searches.get(text)) is None:
                table = f"found_{next(self._names)}"
                folded, forms = _ascii_lower(text), _forms(text)
                bodies = " OR ".join("instr(body, ?)" for _ in forms)
                await self._select(
                    f"CREATE TEMP TABLE {table} AS SELECT number FROM dead_letters"
                    " WHERE instr(lower(ids), ?) OR instr(lower(names), ?)"
                    f" UNION SELECT number FROM messages WHERE {bodies}",
                    (folded, folded, *forms),
                )
                self._searches[text] = table
            while len(self._searches) > MAX_SEARCHES:
                oldest = next(iter(self._searches))
                await self._select(f"DROP TABLE {self._searches.pop(oldest)}", ())
            return table

    async def _select(self, statement: str, values: Iterable[Any]) -> list[tuple[Any, ...]]:
        async with self._turn:
            return await asyncio.to_thread(
                lambda: self._database.execute(statement, tuple(values)).fetchall()
            )


def _forms(text: str) -> list[bytes]:
    """The bytes of a text in a body: as it is, and as JSON escapes it."""
    return list(dict.fromkeys((text.encode(), json.dumps(text)[1:-1].encode())))


def _ascii_lower(text: str) -> str:
    """As SQLite's `lower` does it."""
    return "".join(c.lower() if c.isascii() else c for c in text)
