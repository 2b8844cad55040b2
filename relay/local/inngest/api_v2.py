"""`/api/v2`, also under `/v2`: apps and functions, the runs of an event, and one event to accept.

It has real HTTP statuses, caches nothing, and leaves out an empty list.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec

from relay.local.clock import Clock
from relay.local.inngest.apps import Apps, Problem, read_limit
from relay.local.inngest.body import MAX_EVENT_SIZE
from relay.local.inngest.disk import Disk
from relay.local.inngest.event import InvalidEvent, ParsedEvent, read_event
from relay.local.inngest.pipeline import Pipeline
from relay.local.inngest.read_back import iso
from relay.local.inngest.records import Run, is_ulid
from relay.local.inngest.request import JSON, Reply, Request, as_json

MAX_EVENT_RUNS = 40
MAX_RUNS = 100
MAX_NAME = 512
STATUSES = {
    "Scheduled": "QUEUED",
    "Running": "RUNNING",
    "Completed": "COMPLETED",
    "Failed": "FAILED",
    "Cancelled": "CANCELLED",
}
_FIELDS = ("id", "name", "data", "user", "ts")
_EVENT_RUNS = re.compile(r"/events/([^/]+)/runs")
_RUN = re.compile(r"/runs/([^/]+)")
_APP = re.compile(r"/apps(?:/([^/]*)(/functions)?)?")


class ApiV2:
    """Answers the paths below `/api/v2`.

    Args:
        disk: the runs.
        pipeline: the functions, and the jobs that have not run yet.
        clock: for the time of the response.
        accept: accepts an event and returns its internal id.
    """

    def __init__(
        self, disk: Disk, pipeline: Pipeline, clock: Clock, accept: Callable[[ParsedEvent], str]
    ) -> None:
        self._disk = disk
        self._pipeline = pipeline
        self._clock = clock
        self._accept = accept
        self._apps = Apps(pipeline.functions)

    def answer(self, path: str, request: Request) -> Reply:
        """The reply to a request for a path below `/api/v2`."""
        self._pipeline.advance(self._clock.time())
        try:
            fields = self._fields(path, request)
        except Problem as problem:
            error = {"code": problem.code, "message": str(problem)}
            return as_json({"errors": [error]}, problem.status, JSON)
        metadata = {"fetchedAt": iso(self._clock.time())}
        return as_json({**fields, "metadata": metadata}, content_type=JSON)

    def _fields(self, path: str, request: Request) -> dict[str, Any]:
        known = path in ("/health", "/events", "/runs")
        event, run, app = (one.fullmatch(path) for one in (_EVENT_RUNS, _RUN, _APP))
        if not (known or event or run or app):
            raise Problem(404, "api_error", "Not Found")
        if request.method != ("POST" if path == "/events" else "GET"):
            raise Problem(501, "api_error", "Method Not Allowed")
        if path == "/health":
            return {"data": {"status": "ok"}}
        if path == "/events":
            return {"data": {"eventId": self._accept(_one_event(request.body))}}
        if app:
            return self._apps.fields(app[1], request.query, functions=app[2] is not None)
        output = request.query.get("includeOutput") == "true"
        if event:
            return self._event_runs(event[1], request.query, output=output)
        if run:
            return {"data": self._one(run[1], output=output)}
        return _page(self._all(), request.query, MAX_RUNS, output=output)

    def _event_runs(
        self, event_id: str, query: Mapping[str, str], *, output: bool
    ) -> dict[str, Any]:
        if not is_ulid(event_id):
            raise Problem(400, "invalid_field_format", "Event ID must be a valid ULID")
        internal_id = event_id.upper()
        waiting = self._pipeline.jobs_of(internal_id)
        runs = [
            *(Run.of(job, job.scheduled_at, "Scheduled") for job in waiting),
            *reversed(self._disk.runs_of.get(internal_id, ())),
        ]
        return _page(runs, query, MAX_EVENT_RUNS, output=output)

    def _one(self, run_id: str, *, output: bool) -> dict[str, Any]:
        if not is_ulid(run_id):
            raise Problem(400, "invalid_field_format", "Run ID must be a valid ULID")
        run = next((run for run in self._all() if run.run_id == run_id.upper()), None)
        if run is None:
            raise Problem(404, "not_found", "Run not found")
        return _run(run) | ({"output": run.output} if output and run.ended_at else {})

    def _all(self) -> list[Run]:
        """Every run once, the newest first."""
        waiting = [Run.of(job, job.scheduled_at, "Scheduled") for job in self._pipeline.waiting()]
        first = [run for run in self._disk.runs.values() if run.internal_id == run.trigger]
        return sorted([*first, *waiting], key=lambda run: (run.queued_at, run.run_id), reverse=True)


def _page(
    runs: Sequence[Run], query: Mapping[str, str], most: int, *, output: bool
) -> dict[str, Any]:
    limit = read_limit(query, most)
    start = _after(query.get("cursor", ""), runs)
    shown = runs[start : start + limit]
    page: dict[str, Any] = {"limit": limit}
    if len(runs) > start + limit:
        page |= {"cursor": _cursor(shown[-1]), "hasMore": True}
    data = [_run(run) | (_output(run) if output and run.ended_at else {}) for run in shown]
    return {**({"data": data} if data else {}), "page": page}


def _cursor(run: Run) -> str:
    at = {"f": "start_time", "v": int(run.at * 1000)}
    cursor = msgspec.json.encode({"id": run.run_id, "c": {"start_time": at}})
    return base64.b64encode(cursor).decode()


def _after(cursor: str, runs: Sequence[Run]) -> int:
    """The position of the first run behind the cursor."""
    if not cursor:
        return 0
    try:
        run_id = msgspec.json.decode(base64.b64decode(cursor, validate=True))["id"]
    except (ValueError, msgspec.MsgspecError, KeyError, TypeError):
        raise Problem(400, "invalid_field_format", "Cursor is invalid") from None
    return next((at for at, run in enumerate(runs, 1) if run.run_id == run_id), len(runs))


def _run(run: Run) -> dict[str, Any]:
    trigger: dict[str, Any] = {"eventIds": [run.trigger]}
    if run.batch_id:
        trigger |= {"batchId": run.batch_id, "isBatch": True}
    fields: dict[str, Any] = {
        "app": {"id": run.app},
        "function": {"id": run.function, "name": run.function},
        "id": run.run_id,
        "queuedAt": iso(run.queued_at),
        "startedAt": iso(run.at),
        "status": STATUSES[run.status],
        "trigger": trigger,
    }
    if run.ended_at is not None:
        fields["durationMs"] = str(int((run.ended_at - run.at) * 1000))
        fields["endedAt"] = iso(run.ended_at)
    return fields


def _output(run: Run) -> dict[str, Any]:
    """The output in a list of runs, where an error is wrapped."""
    return {"output": {"error": run.output} if run.status == "Failed" else run.output}


def _one_event(body: bytes) -> ParsedEvent:
    """The event of a body, which has fewer fields here.

    Raises:
        Problem: it is not valid. The texts that open with `proto` are like the server's only.
    """
    if len(body) > MAX_EVENT_SIZE:
        message = f"Request body cannot exceed {MAX_EVENT_SIZE} bytes"
        raise Problem(413, "invalid_request", message)
    fields = _decoded(body)
    name = fields.get("name") or ""
    if not name:
        raise Problem(400, "missing_field", "Event name is required")
    if len(name) > MAX_NAME:
        message = f"Event name cannot exceed {MAX_NAME} characters"
        raise Problem(400, "invalid_field_format", message)
    try:
        return read_event({**fields, "data": fields.get("data") or {}})
    except InvalidEvent as error:
        reserved = str(error).startswith("event name")
        code = "invalid_field_format" if reserved else "validation_error"
        raise Problem(400, code, str(error)) from None


def _decoded(body: bytes) -> dict[str, Any]:
    try:
        fields = msgspec.json.decode(body or b"{}")
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise Problem(400, "api_error", f"proto: syntax error: {error}") from None
    if type(fields) is not dict:
        shown = body.lstrip()[:1].decode("ascii", "replace")
        raise Problem(400, "api_error", f"proto: syntax error (line 1:1): unexpected token {shown}")
    for name, value in fields.items():
        if name not in _FIELDS:
            at = _place(body, name)
            raise Problem(400, "api_error", f'proto: {at}: unknown field "{name}"')
        if name in ("data", "user") and type(value) is not dict and value is not None:
            shown = msgspec.json.encode(value).decode()
            at = _place(body, name, value=True)
            raise Problem(400, "api_error", f"proto: syntax error {at}: unexpected token {shown}")
    return fields


def _place(body: bytes, name: str, *, value: bool = False) -> str:
    """Where a field of a body of one line begins, or its value."""
    key = msgspec.json.encode(name)
    at = body.find(key)
    return f"(line 1:{at + len(key) + 2 if value else at + 1})"
