"""An Inngest server as a source: the stored events and their function runs.

The server stores an event up to some seconds after it accepted it, and starts runs after that, so
an early empty answer proves nothing.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from relay.destinations.inngest.queries import InngestQueries
from relay.destinations.inngest.read_back import PAGE
from relay.model.destination import Unavailable
from relay.ops.inngest_api import InngestApi, UnusableAnswer, is_ulid, read_time
from relay.ops.trace.timeline import KnownIds, SourceResult, SourceUnavailable, TimelineEntry

INNGEST = "inngest"
PAGES = 20
"""At most this many pages of events are searched."""

RECENT = 60.0
"""Seconds after an event was stored in which its runs may not be listed yet."""

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
        self._api = InngestApi(queries, clock)
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
        except UnusableAnswer as error:
            raise SourceUnavailable(str(error)) from error

    async def _find(self, known: KnownIds) -> SourceResult:
        if is_ulid(known.query):
            known.references.add(known.query.upper())
        gap = None if _ulids(known) else await self._search(known)
        entries = list[TimelineEntry]()
        for reference in _ulids(known):
            event = await self._api.event(reference)
            if event is None:
                entries.append(_not_stored(reference))
                continue
            known.events.add((str(event.get("name", "")), str(event.get("id", ""))))
            entries.append(_stored(event, reference))
            runs, incomplete = await self._api.runs(reference)
            entries += [entry for run in runs for entry in _run(run)]
            if not runs:
                entries.append(_no_run(reference, self._clock() - (_received(event) or 0.0)))
            gap = gap or incomplete
        return SourceResult(tuple(entries), gap)

    async def _search(self, known: KnownIds) -> str | None:
        """Add the server's ids of the events with a known id; returns what may have been missed."""
        names = sorted({name for name, _ in known.events if name})
        name, cursor = names[0] if len(names) == 1 else "", ""
        for _ in range(PAGES):
            page = await self._api.events(self._since, name=name, cursor=cursor)
            if not page:
                return None  # the only sign of the end
            for event in page:
                if known.has_event(str(event.get("id") or "")):
                    known.references.add(str(event["internal_id"]))
            cursor = str(page[-1]["internal_id"])
        return (
            f"Inngest cannot look up an event by its own id, and only the newest {PAGE * PAGES}"
            " events were searched: narrow the search with --name and --since, or use Inngest's id"
        )


def _ulids(known: KnownIds) -> list[str]:
    """The known ids that can be the server's. With routes, others are of other destinations."""
    return sorted(reference for reference in known.references if is_ulid(reference))


def _received(event: Mapping[str, Any]) -> float | None:
    return read_time(event.get("received_at"))


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

    started = read_time(run.get("startedAt") or run.get("run_started_at"))
    if status in _WAITING:
        # The time of its start is that of its creation until then.
        yield entry(f"is {status} and has not started", read_time(run.get("queuedAt")) or started)
        return
    if started is not None:
        yield entry("started with a batch" if "batch_id" in details else "started", started)
    if status == "running":
        yield entry("is running", None)
    else:
        yield entry(f"ended: {status}", read_time(run.get("endedAt") or run.get("ended_at")))


def _batch(run: Mapping[str, Any]) -> Mapping[str, Any]:
    trigger = run.get("trigger")
    batch = trigger.get("batchId") if isinstance(trigger, dict) else None
    return {"batch_id": batch} if batch else {}
