"""`/v1/events`: reads stored events and their runs."""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from relay.local.clock import Clock
from relay.local.inngest.pipeline import Disk, Pipeline
from relay.local.inngest.records import Job, Run, StoredEvent, is_ulid
from relay.local.inngest.request import JSON, Reply, Request, as_json

PAGE = 51
"""The most events on a page, whatever the requested limit."""
DEFAULT_PAGE = 20
_PATH = re.compile(r"/v1/events(?:/(?P<id>[^/]+)(?P<runs>/runs)?)?")
_MAX_AGE = {"Cache-Control": "max-age=15"}


class ReadBack:
    """The read-only part of the server's API.

    Args:
        disk: the stored events and the runs.
        pipeline: the jobs that have not run yet.
        clock: for the time of the response.
        signing_key: the required bearer token; None for no check. An empty one rejects everything.
    """

    def __init__(
        self, disk: Disk, pipeline: Pipeline, clock: Clock, signing_key: str | None = None
    ) -> None:
        self._disk = disk
        self._pipeline = pipeline
        self._clock = clock
        self._signing_key = signing_key

    def answer(self, request: Request) -> Reply | None:
        """The reply; None for any other path."""
        match = _PATH.fullmatch(request.path)
        if request.method != "GET" or match is None:
            return None
        if not self._authorized(request.headers.get("authorization", "")):
            return _problem(401, "Unauthorized")
        self._pipeline.advance(self._clock.time())
        event_id, runs = match["id"], match["runs"]
        if event_id is None:
            return self._list(request.query)
        if not is_ulid(event_id):
            return _problem(400, f"Invalid event ID: {event_id}")
        return self._runs(event_id.upper()) if runs else self._one(event_id.upper())

    def _authorized(self, authorization: str) -> bool:
        if self._signing_key is None:
            return True
        return bool(self._signing_key) and authorization == f"Bearer {self._signing_key}"

    def _one(self, internal_id: str) -> Reply:
        event = self._disk.stored.get(internal_id)
        if event is None:
            # Measured: the HTTP status is 200 nevertheless.
            problem = {"code": "", "error": "Event not found", "data": None, "status": 404}
            return as_json(problem, content_type=JSON)
        return self._wrap(_event(event), {"Cache-Control": "max-age=5"})

    def _runs(self, internal_id: str) -> Reply:
        ran = [run for run in self._disk.runs.values() if run.internal_id == internal_id]
        waiting = self._pipeline.jobs_of(internal_id)
        return self._wrap([*map(_run, ran), *map(_job, waiting)], _MAX_AGE)

    def _list(self, query: Mapping[str, str]) -> Reply:
        cursor = query.get("cursor", "")
        if cursor and not is_ulid(cursor):
            return _problem(400, "Invalid cursor query parameter")
        try:
            after, before = _time(query, "received_after"), _time(query, "received_before")
        except ValueError:
            return _problem(400, "Invalid received_after query parameter")
        found = (
            _event(event)
            for event in self._newest_first(cursor.upper())
            if query.get("name", event.name) in (event.name, "")
            and (after is None or event.received_at >= after)
            and (before is None or event.received_at <= before)
        )
        return self._wrap([event for _, event in zip(range(_limit(query)), found, strict=False)])

    def _newest_first(self, cursor: str) -> Iterator[StoredEvent]:
        order = self._disk.order
        start = bisect_left(order, cursor) if cursor else len(order)
        return (self._disk.stored[order[at]] for at in range(start - 1, -1, -1))

    def _wrap(self, data: Any, headers: Mapping[str, str] | None = None) -> Reply:
        metadata = {"fetched_at": _iso(self._clock.time()), "cached_until": None}
        return as_json({"data": data, "metadata": metadata, "status": 200}, 200, JSON, headers)


def _event(event: StoredEvent) -> dict[str, Any]:
    return {
        "internal_id": event.internal_id,
        "id": event.id,
        "name": event.name,
        "data": event.data,
        "user": event.user,
        "ts": event.ts,
        "v": event.v or "",
        "received_at": _iso(event.received_at),
    }


def _run(run: Run) -> dict[str, Any]:
    at = _iso(run.at)
    return _function_run(run.run_id, run.function, run.internal_id, run.status, at, at)


def _job(job: Job) -> dict[str, Any]:
    internal_id, at = job.event.internal_id, _iso(job.scheduled_at)
    return _function_run(job.run_id, job.function, internal_id, "Scheduled", at, None)


def _function_run(
    run_id: str, function: str, internal_id: str, status: str, at: str, ended_at: str | None
) -> dict[str, Any]:
    return {
        "run_id": run_id,
        "run_started_at": at,
        "function_id": function,
        "function_version": 1,
        "environment_id": "00000000-0000-4000-b000-000000000000",
        "event_id": internal_id,
        "status": status,
        "ended_at": ended_at,
    }


def _problem(status: int, error: str) -> Reply:
    return as_json({"code": "", "error": error, "data": None, "status": status}, status, JSON)


def _limit(query: Mapping[str, str]) -> int:
    limit = query.get("limit", "")
    count = int(limit) if limit.isascii() and limit.isdigit() else 0
    return min(count, PAGE) if count else DEFAULT_PAGE


def _time(query: Mapping[str, str], name: str) -> float | None:
    text = query.get(name, "")
    if not text:
        return None
    parsed = datetime.fromisoformat(text)
    return parsed.replace(tzinfo=parsed.tzinfo or UTC).timestamp()


def _iso(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat().replace("+00:00", "Z")
