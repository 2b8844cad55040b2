"""An Inngest server as a source: the stored events and their function runs.

The server stores an event up to some seconds after it accepted it, and starts runs after that, so
an early empty answer proves nothing. It caches some answers: runs of version 1 of the API for 15 s,
the empty list too (recorded).
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
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

RUN_PAGE = 40
RUN_PAGES = 5
"""Runs of one event: a page has at most 40, and at most this many pages are read."""

RECENT = 60.0
"""Seconds after an event was stored in which its runs may not be listed yet."""

_ULID = re.compile(r"[0-7][0-9A-HJKMNP-TV-Z]{25}", re.IGNORECASE)
_WAITING = frozenset({"scheduled", "queued"})


class InngestSource:
    """Looks events up by the server's own ids; if none is known, lists events to find the id.

    Args:
        queries: sends the requests to the server.
        since: epoch seconds; older events are not searched.
        clock: the time of day.
    """

    name = INNGEST

    def __init__(
        self,
        queries: InngestQueries,
        *,
        since: float,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._queries = queries
        self._since = since
        self._clock = clock

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
            known.references.add(known.query.upper())
        gap = None if _ulids(known) else await self._search(known)
        entries = list[TimelineEntry]()
        for reference in _ulids(known):
            event = await self._get(f"/v1/events/{reference}")
            if not isinstance(event, dict):
                entries.append(_not_stored(reference))
                continue
            known.events.add((str(event.get("name", "")), str(event.get("id", ""))))
            entries.append(_stored(event, reference))
            runs, incomplete = await self._runs(reference)
            entries += [entry for run in runs for entry in _run(run)]
            if not runs:
                entries.append(_no_run(reference, self._clock() - (_received(event) or 0.0)))
            gap = gap or incomplete
        return SourceResult(tuple(entries), gap)

    async def _search(self, known: KnownIds) -> str | None:
        """Add the server's ids of the events with a known id; returns what may have been missed."""
        names = sorted({name for name, _ in known.events if name})
        # Without it, only events of the last hour are listed. The server compares times as text.
        after = datetime.fromtimestamp(int(self._since), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        query = {"limit": str(PAGE), "received_after": after}
        if len(names) == 1:
            query["name"] = names[0]
        cursor = ""
        for _ in range(PAGES):
            page = await self._get("/v1/events", query | ({"cursor": cursor} if cursor else {}))
            if not isinstance(page, list) or not page:
                return None  # the only sign of the end
            for event in page:
                if known.has_event(str(event.get("id") or "")):
                    known.references.add(str(event["internal_id"]))
            cursor = str(page[-1]["internal_id"])
        return (
            f"Inngest cannot look up an event by its own id, and only the newest {PAGE * PAGES}"
            " events were searched: narrow the search with --name and --since, or use Inngest's id"
        )

    async def _runs(self, reference: str) -> tuple[Sequence[Mapping[str, Any]], str | None]:
        """The runs of the event, and what may be missing."""
        path = f"{self._queries.api_v2}/events/{reference}/runs"
        found, cursor = list[Mapping[str, Any]](), ""
        for _ in range(RUN_PAGES):
            query = {"limit": str(RUN_PAGE)} | ({"cursor": cursor} if cursor else {})
            answer = await self._queries.get(path, query)
            if answer.status in _DENIED:
                raise SourceUnavailable(_refused(answer))
            fields = answer.fields
            if answer.status != HTTPStatus.OK or "metadata" not in fields:
                return await self._runs_of_api_v1(reference)
            found += _objects(fields.get("data"))  # left out if there are none
            page = fields.get("page")
            cursor = str(page.get("cursor") or "") if isinstance(page, dict) else ""
            if not cursor:
                return found, None
        return found, f"only the first {len(found)} runs of {reference} were read"

    async def _runs_of_api_v1(
        self, reference: str
    ) -> tuple[Sequence[Mapping[str, Any]], str | None]:
        # Another query is another entry in the server's cache.
        query = {"at": f"{self._clock():.3f}"}
        runs = _objects(await self._get(f"/v1/events/{reference}/runs", query))
        if runs:
            return runs, None
        return (), (
            "the server has no runs in version 2 of its API, and version 1 lists the run of a batch"
            " of events for one of them only"
        )

    async def _get(self, path: str, query: Mapping[str, str] | None = None) -> Any:
        """The `data` of the response; None if the resource does not exist."""
        answer = await self._queries.get(path, query)
        fields = answer.fields
        if "error" in fields or answer.status != HTTPStatus.OK:
            # Errors are a 200 as well, with the actual status in the body.
            if fields and fields.get("status", answer.status) == HTTPStatus.NOT_FOUND:
                return None
        elif "data" in fields:
            return fields["data"]
        raise SourceUnavailable(_refused(answer))


_DENIED = (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN)


def _ulids(known: KnownIds) -> list[str]:
    """The known ids that can be the server's. With routes, others are of other destinations."""
    return sorted(reference for reference in known.references if _ULID.fullmatch(reference))


def _objects(value: Any) -> list[Mapping[str, Any]]:
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []


def _refused(answer: Answer) -> str:
    if answer.status in _DENIED:
        return "the signing key is missing or wrong: set RELAY_INNGEST_SIGNING_KEY"
    status = answer.fields.get("status", answer.status)
    return f"{status}: {answer.error or 'not a response of the API'}"


def _received(event: Mapping[str, Any]) -> float | None:
    return _time(event.get("received_at"))


def _stored(event: Mapping[str, Any], reference: str) -> TimelineEntry:
    details = {"reference": reference, "id": event.get("id"), "name": event.get("name")}
    at = _received(event)
    return TimelineEntry(at=at, source=INNGEST, what=f"stored as {reference}", details=details)


def _not_stored(reference: str) -> TimelineEntry:
    what = (
        f"not stored: {reference} was accepted and the server does not have it; what it accepted"
        " seconds ago may not be stored yet"
    )
    return TimelineEntry(at=None, source=INNGEST, what=what, details={"reference": reference})


def _no_run(reference: str, age: float) -> TimelineEntry:
    what = f"no run of {reference} is listed"
    if age < RECENT:
        what += f" yet, and it was stored {max(age, 0.0):.0f} s ago: repeat this command"
    details = {"reference": reference, "runs": 0}
    return TimelineEntry(at=None, source=INNGEST, what=what, details=details)


def _run(run: Mapping[str, Any]) -> Iterator[TimelineEntry]:
    """The entries of a run, as version 2 of the API shows it or version 1."""
    about = run.get("function")
    function = about.get("id") if isinstance(about, dict) else run.get("function_id")
    status = str(run.get("status", "unknown")).lower()
    details = {
        "run_id": run.get("id") or run.get("run_id"),
        "function": function,
        "status": status,
        **_batch(run),
    }
    name = function or "a function"

    def entry(what: str, at: float | None) -> TimelineEntry:
        return TimelineEntry(at=at, source=INNGEST, what=f"{name} {what}", details=details)

    started = _time(run.get("startedAt") or run.get("run_started_at"))
    if status in _WAITING:
        # The time of its start is that of its creation until then.
        yield entry(f"is {status} and has not started", _time(run.get("queuedAt")) or started)
        return
    if started is not None:
        yield entry("started with a batch" if "batch_id" in details else "started", started)
    if status == "running":
        yield entry("is running", None)
    else:
        yield entry(f"ended: {status}", _time(run.get("endedAt") or run.get("ended_at")))


def _batch(run: Mapping[str, Any]) -> Mapping[str, Any]:
    trigger = run.get("trigger")
    batch = trigger.get("batchId") if isinstance(trigger, dict) else None
    return {"batch_id": batch} if batch else {}


def _time(text: Any) -> float | None:
    try:
        return datetime.fromisoformat(text).timestamp()
    except (TypeError, ValueError):
        return None
