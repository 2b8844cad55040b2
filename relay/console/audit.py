"""The page *Audit*: what became of the events that the orchestrator accepted."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import BaseRoute, Route

from relay.console.access import Access, Form, Refused
from relay.console.audit_runs import AuditEntry, Auditor, AuditRequest, Audits, Source
from relay.console.rendering import Renderer
from relay.dlq.filters import parse_time
from relay.ops.audit.report import MEANING, AuditReport

PATH = "/audit"
RESULT = f"{PATH}/result"
SINCE = "24h"

MAX_ROWS = 200
"""Rows of a table; the command's JSON has all."""

MAX_NAMES = 50
MAX_TEXT = 256
"""Patterns for names, and characters of each."""

BAD = ("failed", "unheard", "missing")
"""The states that need a person, as the command's exit code says by default."""

_Table = Sequence[tuple[str, Counter[str]]]


class AuditPage:
    """Runs audits when asked to, and shows their results.

    Args:
        access: makes the routes of forms.
        renderer: makes the pages.
        auditor: says what can be audited.
        audits: runs them.
        clock: seconds since the epoch.
    """

    def __init__(
        self,
        access: Access,
        renderer: Renderer,
        auditor: Auditor,
        audits: Audits,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._access = access
        self._renderer = renderer
        self._auditor = auditor
        self._audits = audits
        self._clock = clock

    def routes(self) -> Sequence[BaseRoute]:
        """The form, its start, and the page of one audit."""
        post = self._access.post
        return (
            Route(PATH, self._form, name="audit"),
            Route(RESULT, self._result, name="audit_result"),
            post(PATH, self._begin, "run_audit", changes=False),
            post(f"{PATH}/stop", self._stop, "stop_audit", changes=False),
        )

    async def _form(self, request: Request) -> Response:
        query = request.query_params
        since, to = query.get("since", SINCE)[:MAX_TEXT], query.get("to", "")[:MAX_TEXT]
        return self._renderer.page(
            "audit.html",
            "audit",
            auditor=self._auditor,
            logs=self._auditor.logs(),
            latest=self._audits.latest,
            since=since,
            to=to,
            names=" ".join(query.getlist("name")[:MAX_NAMES]),
            source=query.get("source", "list"),
        )

    async def _begin(self, _request: Request, form: Form) -> Response:
        if self._auditor.problem is not None:
            raise Refused(409, "cannot_audit", self._auditor.problem)
        entry = self._audits.begin(self._request(form))
        return self._to(entry)

    async def _stop(self, _request: Request, form: Form) -> Response:
        entry = self._audits.entry("".join(form.get("id", ())))
        entry.stop.set()
        return self._to(entry)

    async def _result(self, request: Request) -> Response:
        entry = self._audits.entry(request.query_params.get("id", ""))
        values = {} if entry.result is None else _values(entry.result.report)
        return self._renderer.page(
            "audit_result.html",
            "audit",
            entry=entry,
            request=entry.request,
            result=entry.result,
            command=entry.request.command_line(),
            rerun=entry.request.command_line("--failed", "--rerun"),
            meaning=MEANING,
            bad=BAD,
            **values,
        )

    def _to(self, entry: AuditEntry) -> Response:
        return RedirectResponse(self._renderer.link(RESULT, id=entry.id), status_code=303)

    def _request(self, form: Form) -> AuditRequest:
        now, source = self._clock(), self._source(_last(form, "source"))
        since_text, to_text = _last(form, "since") or SINCE, _last(form, "to")
        since = _time("the begin", since_text, now)
        until = _time("the end", to_text, now) if to_text else now
        if since >= until:
            raise _invalid("the begin is not before the end: no event can be in between")
        return AuditRequest(
            since_text=since_text,
            to_text=to_text,
            since=since,
            until=until,
            names=_names(_last(form, "names")),
            source=source,
            logs=tuple(map(str, self._auditor.logs())) if source == "log" else (),
            signals=self._auditor.signals,
        )

    def _source(self, text: str) -> Source:
        if text == "log" and self._auditor.logs():
            return "log"
        if text == "ledger" and self._auditor.ledger:
            return "ledger"
        if text in ("", "list"):
            return "list"
        raise _invalid("the settings name no such source of accepted events")


def _values(report: AuditReport) -> dict[str, Any]:
    """What the page shows of a report."""
    states = [state for state in MEANING if report.states[state]]
    statuses = sorted({status for counts in report.functions.values() for status in counts})
    hours = sorted(report.by_hour.items(), reverse=True)
    return {
        "report": report,
        "states": states,
        "tables": (
            ("Events by name", "Event", _largest(report.by_name), states),
            ("Runs by function", "Function", _largest(report.functions), statuses),
            ("Events by hour", "Hour (UTC)", hours[:MAX_ROWS], states),
        ),
        "rows": MAX_ROWS,
        "needs_person": sum(report.states[state] for state in BAD),
    }


def _largest(groups: Mapping[str, Counter[str]]) -> _Table:
    return sorted(groups.items(), key=lambda one: (-one[1].total(), one[0]))[:MAX_ROWS]


def _names(text: str) -> tuple[str, ...]:
    names = tuple(dict.fromkeys(text.split()))
    if len(names) > MAX_NAMES or any(len(name) > MAX_TEXT for name in names):
        raise _invalid(f"name at most {MAX_NAMES} event names, of {MAX_TEXT} characters each")
    return names


def _time(what: str, text: str, now: float) -> float:
    try:
        return parse_time(text, now)
    except ValueError as error:
        raise _invalid(f"{what}: {error}") from error


def _last(form: Form, name: str) -> str:
    values = form.get(name, ())
    return values[-1].strip() if values else ""


def _invalid(sentence: str) -> Refused:
    return Refused(422, "invalid_option", sentence)
