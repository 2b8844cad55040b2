"""The fuzz targets of the audit: the log, the ledger's rows, the server's answers, a state file."""

from __future__ import annotations

import asyncio
import json
import sqlite3
import tempfile
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from relay.app.auditing import LedgerTableScan
from relay.aws.dynamodb import ItemTable
from relay.aws.errors import AwsError
from relay.destinations.inngest.answers import Answer
from relay.dlq.safeguards import RateLimit
from relay.model.destination import Unavailable
from relay.ops.audit.accepted import (
    Accepted,
    AcceptedSource,
    Batch,
    EventList,
    LedgerEntries,
    LogFiles,
    Scope,
)
from relay.ops.audit.audit import Audit
from relay.ops.audit.requests import BoundedRequests
from relay.ops.audit.rerun import FailedEvents, event_json
from relay.ops.audit.state import AuditState, StateConflict
from relay.ops.inngest_api import InngestApi, UnusableAnswer
from tests.fuzz.input import Input
from tests.fuzz.loopback import LOOP

REFERENCE = "01M8NY0AAMK38GQM6KRZ2K7000"
SCOPE = Scope(since=0.0, until=4e9)
STATUSES = (200, 200, 200, 401, 404, 500)

MEMORY = "/dev/shm" if Path("/dev/shm").is_dir() else None
"""A file system in memory: SQLite waits for a disk at each transaction."""

MAX_REQUESTS = 300
"""A server that gives a new cursor with each page has no end."""


class _Endless(Exception):
    """The audit asked for too much."""


class _Answers:
    """Answers the kinds of requests with these bodies; requests of no kind with 404."""

    api_v2 = "/api/v2"

    def __init__(self, bodies: Mapping[str, bytes], status: int) -> None:
        self._bodies = bodies
        self._status = status
        self._left = MAX_REQUESTS

    async def get(self, path: str, query: Mapping[str, str] | None = None) -> Answer:
        self._left -= 1
        if self._left < 0:
            raise _Endless
        kind = path.rpartition("/")[2]
        # A list ends: its second page is empty.
        body = b"" if query and query.get("cursor") else self._bodies.get(kind, b"")
        return Answer(self._status, body.decode(errors="replace"), {})


def audit_log(data: bytes) -> None:
    """A log file: every event that is found can be stored, looked up and printed."""
    with tempfile.TemporaryDirectory(dir=MEMORY) as directory:
        path = Path(directory, "relay.log")
        path.write_bytes(data)
        source = LogFiles([path])
        LOOP.run_until_complete(_audit(Path(directory, "state"), lambda _: source, {}, 200))


def audit_answers(data: bytes) -> None:
    """The server's answers: apps, functions, the list of events, an event, and its runs."""
    given = Input(data)
    status = STATUSES[given.number(len(STATUSES))]
    kinds = ("apps", "functions", "events", "runs", REFERENCE)
    bodies = {kind: given.raw() for kind in kinds}
    with tempfile.TemporaryDirectory(dir=MEMORY) as directory:
        sources: Sequence[Callable[[InngestApi], AcceptedSource]] = (EventList, lambda _: _One())
        for number, source in enumerate(sources):
            path = Path(directory, f"{number}")
            LOOP.run_until_complete(_audit(path, source, bodies, status))


class _One:
    """A source with one event, whose name is unknown."""

    name = "one"
    stored = False

    def __init__(self) -> None:
        self.gaps: list[str] = []
        self.notes: list[str] = []

    async def read(self, scope: Scope, place: str) -> AsyncIterator[Batch]:
        del scope, place
        yield Batch([Accepted(REFERENCE)])


async def _audit(
    path: Path,
    source: Callable[[InngestApi], AcceptedSource],
    bodies: Mapping[str, bytes],
    status: int,
) -> None:
    requests = BoundedRequests(_Answers(bodies, status), RateLimit(None), sleep=_at_once)
    api = InngestApi(requests)
    with AuditState(path, {}, {}) as state:
        audit = Audit(requests, source(api), SCOPE, state, stop=asyncio.Event())
        with suppress(Unavailable, UnusableAnswer, _Endless):
            report = await audit.run(lambda _done, _total: None)
            json.dumps(report.as_json()).encode()
            assert report.events <= report.references
            assert sum(sum(counts.values()) for counts in report.by_name.values()) == report.events
            failed = FailedEvents(state, api, "orders", all_functions=True)
            async for message in failed.messages():
                json.loads(message.body)
        for event in state.events():
            json.dumps(event_json(event)).encode()


async def _at_once(_seconds: float) -> None:
    """Do not wait."""


class _Aws:
    """Answers each call of DynamoDB with the next of these documents."""

    def __init__(self, documents: Sequence[Any]) -> None:
        self._documents = list(documents)

    async def call(self, _action: str, _request: object, _what: str) -> Any:
        return self._documents.pop(0) if self._documents else {}


def audit_ledger(data: bytes) -> None:
    """Pages of the ledger, as DynamoDB returns them, a JSON document a line."""
    documents = []
    for line in data.splitlines():
        with suppress(ValueError, RecursionError):
            found = json.loads(line)
            documents += [found] if isinstance(found, dict) else []
    LOOP.run_until_complete(_scan(documents))


async def _scan(documents: Sequence[Any]) -> None:
    async def never() -> Any:
        raise AssertionError

    table, aws = ItemTable(never, "ledger", "key"), _Aws(documents)

    async def client() -> _Aws:
        return aws

    setattr(table, "_client", client)  # noqa: B010 - mypy forbids assigning to a method
    with suppress(AwsError):
        async for batch in LedgerEntries(LedgerTableScan(table)).read(SCOPE, ""):
            assert isinstance(batch.place, str)
            for event in batch.events:
                assert len(event.reference) == len(REFERENCE)


def audit_state(data: bytes) -> None:
    """A state file: damaged bytes of a valid one, or any values in its tables."""
    given = Input(data)
    position, damage, values = given.number(1 << 16), given.raw(), given.raw()
    with tempfile.TemporaryDirectory(dir=MEMORY) as directory:
        for number, change in enumerate((_damaged, _with_values)):
            path = Path(directory, f"{number}.state")
            _valid_state(path)
            change(path, position, damage, values)
            LOOP.run_until_complete(_resume(path))


def _valid_state(path: Path) -> None:
    with AuditState(path, {}, {"since": 0.0}) as state:
        state.add([Accepted(REFERENCE, "a/b", "e-1", 5.0)], place="p")


def _damaged(path: Path, position: int, damage: bytes, _values: bytes) -> None:
    content = bytearray(path.read_bytes())
    position %= len(content)
    content[position : position + len(damage)] = damage
    path.write_bytes(content)


def _with_values(path: Path, position: int, damage: bytes, values: bytes) -> None:
    """Set a value of the file's own settings, and one column of its event."""
    key = ("options", "fixed", "place", "collected", "gaps", "notes", "copies")[position % 7]
    column = ("name", "id", "at", "stored", "looked_at")[position % 5]
    database = sqlite3.connect(path)
    with database:
        database.execute("INSERT OR REPLACE INTO about VALUES (?, ?)", (key, _sql_value(values)))
        database.execute(f"UPDATE events SET {column} = ?", (_sql_value(damage),))
        database.execute(
            "INSERT INTO runs VALUES (?, 'r', 'f', ?)", (REFERENCE, _sql_value(damage))
        )
    database.close()


def _sql_value(data: bytes) -> Any:
    """Text, bytes, a number or nothing."""
    kind, rest = data[:1], data[1:]
    if kind == b"n":
        return None
    if kind == b"b":
        return rest
    if kind == b"f":
        with suppress(ValueError, OverflowError):
            return float(rest)
    return data.decode(errors="replace")


async def _resume(path: Path) -> None:
    requests = BoundedRequests(_Answers({}, 404), RateLimit(None), sleep=_at_once)
    with suppress(StateConflict, OSError), AuditState(path, {}, {"since": 0.0}) as state:
        audit = Audit(requests, EventList(InngestApi(requests)), SCOPE, state, stop=asyncio.Event())
        with suppress(Unavailable, UnusableAnswer):
            report = await audit.run(lambda _done, _total: None)
            json.dumps(report.as_json()).encode()


TARGETS: dict[str, Callable[[bytes], None]] = {
    function.__name__: function
    for function in (audit_log, audit_answers, audit_ledger, audit_state)
}
