"""`/v1/events` and `/v1/runs`: reads stored events and their runs.

An error is an HTTP 200 with its own status in the body; an answer that has no error has no status.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from relay.local.clock import Clock
from relay.local.inngest.cache import AnswerCache
from relay.local.inngest.disk import Disk
from relay.local.inngest.event import RESERVED
from relay.local.inngest.pipeline import Pipeline
from relay.local.inngest.records import Run, StoredEvent, function_id, is_ulid
from relay.local.inngest.request import JSON, Reply, Request, as_json

PAGE = 51
"""The most events on a page, whatever the requested limit."""
DEFAULT_PAGE = 20
LISTED = 3600.0
"""Seconds for which an event is listed without `received_after`."""
EVENT_KEPT, RUNS_KEPT, RUN_KEPT, JOBS_KEPT = 5, 15, 3, 5
"""Seconds for which the server caches an answer without an error."""

_ACCOUNT = "00000000-0000-0000-0000-000000000000"
_RUN_ENVIRONMENT = "00000000-0000-4000-b000-000000000000"
_PATH = re.compile(
    r"/v1/(?:events(?:/(?P<event>[^/]+)(?P<runs>/runs)?)?|runs/(?P<run>[^/]+)(?P<jobs>/jobs)?)"
)
_RECEIVED = re.compile(r"\d{4}-\d\d-\d\d(?:T\d\d:\d\d:\d\d(?:\.\d{1,9})?(?:Z|[+-]\d\d:\d\d)?)?")
_LIMIT = re.compile(r"[+-]?[0-9]{1,18}")


class ReadBack:
    """The read-only part of the server's API.

    Args:
        disk: the stored events and the runs.
        pipeline: the jobs that have not run yet.
        clock: for the time of the response.
    """

    def __init__(self, disk: Disk, pipeline: Pipeline, clock: Clock) -> None:
        self._disk = disk
        self._pipeline = pipeline
        self._clock = clock
        self._cache = AnswerCache()

    @staticmethod
    def has(path: str) -> bool:
        """Whether the path is one of these."""
        return _PATH.fullmatch(path) is not None

    def started(self) -> None:
        """Begin without cached answers."""
        self._cache.clear()

    def answer(self, request: Request) -> Reply:
        """The reply to a GET of one of these paths."""
        now = self._clock.time()
        kept = self._cache.get(request, now)
        if kept is not None:
            return kept
        self._pipeline.advance(now)
        try:
            data, seconds = self._data(request, now)
        except _Problem as problem:
            body = {"error": str(problem), "data": None, "status": problem.status}
            return as_json(body, content_type=JSON)
        metadata = {"fetched_at": iso(now)}
        if not seconds:
            return as_json({"data": data, "metadata": metadata}, content_type=JSON)
        metadata["cached_until"] = iso(now + seconds)
        headers = {"Cache-Control": f"private, max-age={seconds}"}
        reply = as_json({"data": data, "metadata": metadata}, 200, JSON, headers)
        self._cache.keep(request, reply, now, seconds)
        return reply

    def _data(self, request: Request, now: float) -> tuple[Any, int]:
        match = _PATH.fullmatch(request.raw_path)
        if match is None:
            raise ValueError(f"not a path of this API: {request.shown}")
        if run_id := match["run"]:
            return self._run(_ulid(run_id, "run"), jobs=match["jobs"] is not None)
        if event_id := match["event"]:
            internal_id = _ulid(event_id, "event")
            return self._runs(internal_id) if match["runs"] else self._one(internal_id)
        return self._list(request.query, now), 0

    def _one(self, internal_id: str) -> tuple[Any, int]:
        copies = self._disk.stored.get(internal_id)
        if not copies:
            raise _Problem(404, "Event not found")
        return _event(copies[0]), EVENT_KEPT

    def _runs(self, internal_id: str) -> tuple[Any, int]:
        # A batch's run is listed for its first event only.
        ran = [run for run in self._disk.runs_of.get(internal_id, ()) if run.trigger == internal_id]
        waiting = [
            Run.of(job, job.scheduled_at, "Scheduled")
            for job in self._pipeline.jobs_of(internal_id)
        ]
        return [_run(run, _ACCOUNT) for run in [*ran, *waiting]], RUNS_KEPT

    def _run(self, run_id: str, *, jobs: bool) -> tuple[Any, int]:
        if jobs:
            return [], JOBS_KEPT
        ran = (run for run in self._disk.runs.values() if run.run_id == run_id)
        waits = (
            Run.of(job, job.scheduled_at)
            for job in self._pipeline.waiting()
            if job.run_id == run_id
        )
        run = next(ran, None) or next(waits, None)
        if run is None:
            raise _Problem(500, f"Unable to load function run: {run_id}")
        return _run(run, _RUN_ENVIRONMENT), RUN_KEPT

    def _list(self, query: Mapping[str, str], now: float) -> list[Any]:
        cursor = query.get("cursor", "")
        if cursor and not is_ulid(cursor):
            raise _Problem(400, "Invalid cursor query parameter")
        after, before = _time(query, "received_after"), _time(query, "received_before")
        after = now - LISTED if after is None else after
        name = query.get("name", "")
        found = (
            _event(event)
            for event in self._newest_first(cursor.upper())
            if (not name or event.name == name)
            and after <= event.received_at
            and (before is None or event.received_at < before)
            and not event.name.startswith(RESERVED)
        )
        return [event for _, event in zip(range(_limit(query)), found, strict=False)]

    def _newest_first(self, cursor: str) -> Iterator[StoredEvent]:
        order = self._disk.order
        start = bisect_left(order, cursor) if cursor else len(order)
        return (event for at in range(start - 1, -1, -1) for event in self._disk.stored[order[at]])


class _Problem(Exception):
    def __init__(self, status: int, error: str) -> None:
        super().__init__(error)
        self.status = status


def iso(seconds: float) -> str:
    """The time as text, in UTC."""
    return datetime.fromtimestamp(seconds, UTC).isoformat().replace("+00:00", "Z")


def _event(event: StoredEvent) -> dict[str, Any]:
    fields: dict[str, Any] = {
        "internal_id": event.internal_id,
        "account_id": _ACCOUNT,
        "environment_id": _ACCOUNT,
        "source": "",
        "source_id": None,
        "received_at": iso(event.received_at),
        "id": event.id,
        "name": event.name,
        "data": event.data,
    }
    if bytes(event.user) != b"{}":
        fields["user"] = event.user
    fields["ts"] = event.ts
    if event.v:
        fields["v"] = event.v
    return fields


def _run(run: Run, environment: str) -> dict[str, Any]:
    ended = {} if run.ended_at is None else {"output": run.output}
    return {
        "run_id": run.run_id,
        "run_started_at": iso(run.queued_at),
        "function_id": function_id(run.app, run.function),
        "function_version": 0,
        "environment_id": environment,
        "event_id": run.trigger,
        "status": run.status,
        "ended_at": None if run.ended_at is None else iso(run.ended_at),
        **ended,
    }


def _ulid(text: str, what: str) -> str:
    if not is_ulid(text):
        raise _Problem(400, f"Invalid {what} ID: {text}")
    return text.upper()


def _limit(query: Mapping[str, str]) -> int:
    limit = query.get("limit", "")
    count = int(limit) if _LIMIT.fullmatch(limit) else 0
    return max(1, min(count, PAGE)) if count else DEFAULT_PAGE


def _time(query: Mapping[str, str], name: str) -> float | None:
    """The time of a parameter. The server compares times as text: it ignores an offset."""
    text = query.get(name, "")
    if not text:
        return None
    try:
        time = datetime.fromisoformat(text if _RECEIVED.fullmatch(text) else "")
    except ValueError:
        raise _Problem(400, "Invalid received_after query parameter") from None
    return time.replace(tzinfo=UTC).timestamp()
