"""An Inngest server as a source: the stored event and what became of its runs."""

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
"""The server lists at most 51 events a page; so many pages are looked through for an id."""

_ULID = re.compile(r"[0-7][0-9A-HJKMNP-TV-Z]{25}", re.IGNORECASE)
_RUNNING = frozenset({"Running", "Scheduled", "Queued"})


class InngestSource:
    """Looks events up by the server's own ids, and where none is known lists for the event's id.

    Args:
        questions: asks the server.
        since: epoch seconds before which nothing is looked for.
    """

    name = INNGEST

    def __init__(self, questions: InngestQueries, *, since: float) -> None:
        self._questions = questions
        self._since = since

    async def find(self, known: KnownIds) -> SourceResult:
        """The events of the story, each stored copy, with their runs.

        Raises:
            Unreached: the server did not answer, or not as one that reads back.
        """
        try:
            return await self._look(known)
        except Unavailable as error:
            raise SourceUnavailable(error.reason) from error

    async def _look(self, known: KnownIds) -> SourceResult:
        if _ULID.fullmatch(known.asked):
            known.references.add(known.asked)
        gap, moments = None, list[TimelineEntry]()
        if not known.references:
            gap = await self._search(known)
        for reference in sorted(known.references):
            event = await self._one(f"/v1/events/{reference}")
            if not isinstance(event, dict):
                moments.append(_lost(reference))
                continue
            known.events.add((str(event.get("name", "")), str(event.get("id", ""))))
            moments.append(_stored(event, reference))
            runs = await self._one(f"/v1/events/{reference}/runs")
            for run in runs if isinstance(runs, list) else ():
                moments += _run(run)
        return SourceResult(tuple(moments), gap)

    async def _search(self, known: KnownIds) -> str | None:
        """Note the server's ids of events with the id that is asked for; what may be missed."""
        names = sorted({name for name, _ in known.events if name})
        after = datetime.fromtimestamp(self._since, UTC).isoformat()
        query = {"limit": str(PAGE), "received_after": after}
        if len(names) == 1:
            query["name"] = names[0]
        cursor = ""
        for _ in range(PAGES):
            page = await self._one("/v1/events", query | ({"cursor": cursor} if cursor else {}))
            events = page if isinstance(page, list) else []
            for event in events:
                if known.has_event(str(event.get("id") or "")):
                    known.references.add(str(event["internal_id"]))
            if len(events) < PAGE:
                return None
            cursor = str(events[-1]["internal_id"])
        return (
            f"it finds no event by its id, and only the newest {PAGE * PAGES} were looked through:"
            " narrow it by --name and --since, or ask for the server's own id"
        )

    async def _one(self, path: str, query: Mapping[str, str] | None = None) -> Any:
        """The `data` of an answer; None for what is not there."""
        answer = await self._questions.get(path, query)
        fields = answer.fields
        if answer.status == HTTPStatus.OK and "data" in fields:
            # What is not found is a 200 as well, with the true status in the body.
            return fields["data"] if fields.get("status", 200) == HTTPStatus.OK else None
        if answer.status == HTTPStatus.NOT_FOUND and fields:
            return None
        raise SourceUnavailable(_refused(answer))


def _refused(answer: Answer) -> str:
    if answer.status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN):
        return "it wants another signing key: set RELAY_INNGEST_SIGNING_KEY"
    return f"{answer.status}: {answer.error or 'its answer is not that of the API'}"


def _stored(event: Mapping[str, Any], reference: str) -> TimelineEntry:
    details = {"reference": reference, "id": event.get("id"), "name": event.get("name")}
    at = _time(event.get("received_at"))
    return TimelineEntry(at=at, source=INNGEST, what=f"stored as {reference}", details=details)


def _lost(reference: str) -> TimelineEntry:
    what = f"not stored: {reference} was accepted and is not there"
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
