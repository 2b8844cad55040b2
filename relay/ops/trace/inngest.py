"""An Inngest server as a source: the stored events and their function runs."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any

from relay.destinations.inngest.answers import Answer
from relay.destinations.inngest.queries import InngestQueries
from relay.model.destination import Unavailable
from relay.ops.trace.timeline import KnownIds, SourceResult, SourceUnavailable, TimelineEntry

INNGEST = "inngest"
PAGE = 51
PAGES = 20
"""The server lists at most 51 events per page, and at most this many pages are searched."""

_ULID = re.compile(r"[0-7][0-9A-HJKMNP-TV-Z]{25}", re.IGNORECASE)
_RUNNING = frozenset({"Running", "Scheduled", "Queued"})


class InngestSource:
    """Looks events up by the server's own ids; if none is known, lists events to find the id.

    Args:
        queries: sends the requests to the server.
        since: epoch seconds; older events are not searched.
    """

    name = INNGEST

    def __init__(self, queries: InngestQueries, *, since: float) -> None:
        self._queries = queries
        self._since = since

    async def find(self, known: KnownIds) -> SourceResult:
        """Find the stored events, duplicates included, and their runs.

        Raises:
            SourceUnavailable: the server did not answer, or does not offer this API.
        """
        try:
            return await self._find(known)
        except Unavailable as error:
            raise SourceUnavailable(error.reason) from error

    async def _find(self, known: KnownIds) -> SourceResult:
        if _ULID.fullmatch(known.query):
            known.references.add(known.query)
        gap, entries = None, list[TimelineEntry]()
        if not known.references:
            gap = await self._search(known)
        for reference in sorted(known.references):
            event = await self._get(f"/v1/events/{reference}")
            if not isinstance(event, dict):
                entries.append(_not_stored(reference))
                continue
            known.events.add((str(event.get("name", "")), str(event.get("id", ""))))
            entries.append(_stored(event, reference))
            runs = await self._get(f"/v1/events/{reference}/runs")
            for run in runs if isinstance(runs, list) else ():
                entries += _run(run)
        return SourceResult(tuple(entries), gap)

    async def _search(self, known: KnownIds) -> str | None:
        """Add the server's ids of the events with a known id; returns what may have been missed."""
        names = sorted({name for name, _ in known.events if name})
        after = datetime.fromtimestamp(self._since, UTC).isoformat()
        query = {"limit": str(PAGE), "received_after": after}
        if len(names) == 1:
            query["name"] = names[0]
        cursor = ""
        for _ in range(PAGES):
            page = await self._get("/v1/events", query | ({"cursor": cursor} if cursor else {}))
            events = page if isinstance(page, list) else []
            for event in events:
                if known.has_event(str(event.get("id") or "")):
                    known.references.add(str(event["internal_id"]))
            if len(events) < PAGE:
                return None
            cursor = str(events[-1]["internal_id"])
        return (
            f"Inngest cannot look up an event by its own id, and only the newest {PAGE * PAGES}"
            " events were searched: narrow the search with --name and --since, or use Inngest's id"
        )

    async def _get(self, path: str, query: Mapping[str, str] | None = None) -> Any:
        """The `data` of the response; None if the resource does not exist."""
        answer = await self._queries.get(path, query)
        fields = answer.fields
        if answer.status == HTTPStatus.OK and "data" in fields:
            # A missing resource is also a 200, with the actual status in the body.
            return fields["data"] if fields.get("status", 200) == HTTPStatus.OK else None
        if answer.status == HTTPStatus.NOT_FOUND and fields:
            return None
        raise SourceUnavailable(_refused(answer))


def _refused(answer: Answer) -> str:
    if answer.status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN):
        return "the signing key is missing or wrong: set RELAY_INNGEST_SIGNING_KEY"
    return f"{answer.status}: {answer.error or 'not a response of the API'}"


def _stored(event: Mapping[str, Any], reference: str) -> TimelineEntry:
    details = {"reference": reference, "id": event.get("id"), "name": event.get("name")}
    at = _time(event.get("received_at"))
    return TimelineEntry(at=at, source=INNGEST, what=f"stored as {reference}", details=details)


def _not_stored(reference: str) -> TimelineEntry:
    what = f"not stored: {reference} was accepted but does not exist"
    return TimelineEntry(at=None, source=INNGEST, what=what, details={"reference": reference})


def _run(run: Mapping[str, Any]) -> Iterator[TimelineEntry]:
    function, status = run.get("function_id", "a function"), str(run.get("status", "unknown"))
    details = {"run_id": run.get("run_id"), "function": function, "status": status}
    started = _time(run.get("run_started_at"))
    yield TimelineEntry(at=started, source=INNGEST, what=f"{function} started", details=details)
    ended = _time(run.get("ended_at"))
    if status in _RUNNING:
        yield TimelineEntry(
            at=None, source=INNGEST, what=f"{function} is {status.lower()}", details=details
        )
    else:
        what = f"{function} ended: {status.lower()}"
        yield TimelineEntry(at=ended, source=INNGEST, what=what, details=details)


def _time(text: Any) -> float | None:
    try:
        return datetime.fromisoformat(text).timestamp()
    except (TypeError, ValueError):
        return None
