"""The accepted events, from the relay's log, the ledger, or the orchestrator's own list."""

from __future__ import annotations

import zlib
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from itertools import islice
from pathlib import Path
from typing import Any, Protocol

from relay.destinations.inngest.read_back import PAGE
from relay.ops.inngest_api import InngestApi, UnusableAnswer, is_ulid, read_time, ulid_time
from relay.ops.trace.logs import line_events, line_fields, line_time, open_log

BATCH = 500
"""Events that are passed on together."""


@dataclass(frozen=True, slots=True)
class Accepted:
    """An accepted event.

    Attributes:
        reference: the orchestrator's own id of it.
        name: empty if the source does not know it.
        id: its own id; empty if the source does not know it.
        at: when it was accepted, in epoch seconds; None if the source does not know it.
    """

    reference: str
    name: str = ""
    id: str = ""
    at: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """Which events are audited.

    Attributes:
        since: epoch seconds; accepted at that time or later.
        until: epoch seconds; accepted before that time.
        names: patterns (`shop/*`) for the name; every name if there are none.
    """

    since: float
    until: float
    names: tuple[str, ...] = ()

    def includes(self, name: str, at: float | None) -> bool:
        """Whether an event of this name and time is audited; an unknown name or time is."""
        in_time = at is None or self.since <= at < self.until
        return in_time and self.includes_name(name)

    def includes_name(self, name: str) -> bool:
        """Whether events of this name are audited."""
        if not name or not self.names:
            return True
        return any(fnmatchcase(name, pattern) for pattern in self.names)


@dataclass(slots=True)
class Batch:
    """Accepted events, and the place from which to go on after them; empty from the beginning."""

    events: list[Accepted]
    place: str = ""


class AcceptedSource(Protocol):
    """A place where accepted events are recorded.

    `name` is one word for it. `stored` says that everything it lists is stored by the orchestrator.
    Once everything was read, `gaps` are sentences on what was not, and `notes` on what that means.
    """

    name: str
    stored: bool
    gaps: list[str]
    notes: list[str]

    def read(self, scope: Scope, place: str) -> AsyncIterator[Batch]:
        """The events, from a place on; an event may come more than once."""
        ...


class EventList:
    """The orchestrator's own list of stored events, the newest internal id first.

    Args:
        api: of the server.
    """

    name = "list"
    stored = True

    def __init__(self, api: InngestApi) -> None:
        self._api = api
        self.gaps: list[str] = []
        self.notes: list[str] = []

    async def read(self, scope: Scope, place: str) -> AsyncIterator[Batch]:
        """Every stored event that was received in time.

        Raises:
            Unavailable: the server does not answer.
            UnusableAnswer: it has no list of events.
        """
        exact = scope.names[0] if len(scope.names) == 1 else ""
        name = "" if set(exact) & set("*?[") else exact
        cursor, limit = place, PAGE
        while True:
            try:
                page = await self._api.events(
                    scope.since, before=scope.until + 1, name=name, cursor=cursor, limit=limit
                )
            except UnusableAnswer:
                # Events are listed whole: a page of large ones may be more than is read.
                if limit == 1:
                    raise
                limit = max(1, limit // 8)
                continue
            if not page:
                return
            limit, cursor = PAGE, str(page[-1]["internal_id"])
            events = [
                listed for one in page if scope.includes(*_about(listed := stored_event(one)))
            ]
            yield Batch(events, cursor)


def stored_event(fields: Mapping[str, Any]) -> Accepted:
    """A stored event as the server's API shows it."""
    return Accepted(
        reference=str(fields.get("internal_id") or ""),
        name=_text(fields.get("name")),
        id=_text(fields.get("id")),
        at=read_time(fields.get("received_at")),
    )


def _about(event: Accepted) -> tuple[str, float | None]:
    return event.name, event.at


def _text(value: Any) -> str:
    """The text, without lone surrogates, which no file can hold; empty for any other value."""
    return value.encode("utf-8", "replace").decode() if isinstance(value, str) else ""


@dataclass(slots=True)
class LogFiles:
    """The relay's log files, plain or `.gz`."""

    paths: Sequence[Path]
    name: str = "log"
    stored: bool = False
    gaps: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    async def read(self, scope: Scope, place: str) -> AsyncIterator[Batch]:
        """The events with a reference of the orchestrator. An interrupted read starts again."""
        del place
        self.gaps.clear()
        self.notes.clear()
        others = _Counter()
        for path in self.paths:
            try:
                with open_log(path) as lines:
                    found = accepted_in(lines, scope, others.count)
                    while events := list(islice(found, BATCH)):
                        yield Batch(events)
            except (OSError, EOFError, zlib.error) as error:
                self.gaps.append(
                    f"{path} cannot be read: {getattr(error, 'strerror', None) or error}"
                )
        if others.number:
            self.notes.append(
                f"{others.number} delivered events have no reference of Inngest and are not audited"
            )


@dataclass(slots=True)
class _Counter:
    number: int = 0

    def count(self) -> None:
        self.number += 1


def accepted_in(
    lines: Iterable[str], scope: Scope, other: Callable[[], None]
) -> Iterator[Accepted]:
    """The accepted events on lines of the log; `other` is called for each without a reference.

    A duplicate that was not sent again counts at the time in its reference. It was on an earlier
    line, unless the relay was killed after the delivery and before it had written the line.
    """
    for line in lines:
        if '"delivered"' not in line:
            continue  # parsing JSON is the expensive part
        fields = line_fields(line) or {}
        at = line_time(fields.get("timestamp"))
        for event in line_events(fields):
            name, ident = _text(event.get("name")), _text(event.get("id"))
            reference, duplicate = event.get("reference"), bool(event.get("duplicate"))
            known = is_ulid(reference)
            accepted = ulid_time(str(reference)) if known and duplicate else at
            delivered = event.get("outcome", fields.get("outcome")) == "delivered"
            if not delivered or not scope.includes(name, accepted):
                continue
            if known:
                yield Accepted(str(reference).upper(), name, ident, accepted)
            elif not duplicate:
                other()


class LedgerScan(Protocol):
    """Lists the entries of the ledger about deliveries."""

    def delivered(self, place: str) -> AsyncIterator[tuple[Sequence[tuple[str, float]], str]]:
        """Pages of the orchestrator's id and the time of each, with the place after them."""
        ...


@dataclass(slots=True)
class LedgerEntries:
    """The ledger, which has no names: they are read from the orchestrator."""

    scan: LedgerScan
    name: str = "ledger"
    stored: bool = False
    gaps: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    async def read(self, scope: Scope, place: str) -> AsyncIterator[Batch]:
        """The deliveries in time.

        Raises:
            relay.aws.errors.AwsError: the table cannot be read.
        """
        async for rows, after in self.scan.delivered(place):
            events = [
                Accepted(reference.upper(), at=at)
                for reference, at in rows
                if is_ulid(reference) and scope.includes("", at)
            ]
            yield Batch(events, after)
