"""The pages *History*: the last runs from their journals, and each run while it goes on."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response, StreamingResponse
from starlette.routing import BaseRoute, Route

from relay.console.access import Access, Form, Refused
from relay.console.rendering import Renderer, plural
from relay.console.run_request import RunRequest, request_from_json, words_of
from relay.console.runs import ActiveRun, Runs
from relay.dlq.past_runs import PastRun, done_in, past_run, past_runs
from relay.dlq.plan_source import EXAMINED

PATH = "/history"
RUN = "/run"

SHOWN = 50
"""Runs on the page."""

EVERY = 1.0
"""Seconds between two events of a page that shows a run."""

PAST = {"redrive": "redriven", "drop": "dropped", "restore": "restored"}


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownRun:
    """A run as its page shows it.

    `done` and `total` count dead letters, None where they are not known. `result` are the counts at
    the end. `request` is None for a command, of which the journal does not have all options.
    """

    run: PastRun
    request: RunRequest | None
    state: str
    sentence: str
    done: int | None
    total: int | None
    phase: str | None
    more: Mapping[str, Any]
    warnings: Sequence[str]
    result: Mapping[str, Any] | None
    client: str | None

    @property
    def share(self) -> float:
        """How much of it is done, 0 to 100."""
        if self.state == "running" and self.total:
            return min(100.0, 100.0 * (self.done or 0) / self.total)
        return 100.0 if self.state in ("complete", "partial") else 0.0


class HistoryPages:
    """Shows, stops and resumes runs.

    Args:
        access: makes the routes of forms.
        renderer: makes the pages.
        runs: the runs of this console.
    """

    def __init__(self, access: Access, renderer: Renderer, runs: Runs) -> None:
        self._access = access
        self._renderer = renderer
        self._runs = runs

    def routes(self) -> Sequence[BaseRoute]:
        """The list, a run with its events, and what can be done with it."""
        return (
            Route(PATH, self._list, name="history"),
            Route(RUN, self._page, name="run"),
            Route(f"{RUN}/events", self._events, name="run_events"),
            self._access.post(f"{RUN}/stop", self._stop, "stop_run"),
            self._access.post(f"{RUN}/resume", self._resume, "resume_run"),
        )

    async def _list(self, _request: Request) -> Response:
        found = await asyncio.to_thread(past_runs, self._runs.directory, SHOWN)
        rows = [(run, _words(run), summary_of(run)) for run in found]
        return self._renderer.page("history.html", "history", rows=rows, most=SHOWN)

    async def _page(self, request: Request) -> Response:
        shown = await self._shown(request.query_params.get("name", ""))
        command = (
            shown.request.command_line(shown.run.queue, shown.run.directory)
            if (shown.request)
            else None
        )
        return self._renderer.page("run.html", "history", **self._values(shown), command=command)

    async def _events(self, request: Request) -> Response:
        name = request.query_params.get("name", "")
        await self._shown(name)  # a name that nothing has is refused before the stream begins
        return StreamingResponse(self._stream(name), media_type="text/event-stream")

    async def _stream(self, name: str) -> AsyncIterator[str]:
        while True:
            shown = await self._shown(name)
            text = self._renderer.text("run_body.html", **self._values(shown))
            yield f"data: {json.dumps(text)}\n\n"
            if shown.state != "running" or self._runs.closed.is_set():
                yield "event: end\ndata: 1\n\n"
                return
            await self._next(name)

    async def _next(self, name: str) -> None:
        """Return after a second, or at once when the run ends or the console stops."""
        active = self._active(name)
        events = [self._runs.closed, *([active.ended] if active else [])]
        tasks = [asyncio.create_task(one.wait()) for one in events]
        try:
            await asyncio.wait(tasks, timeout=EVERY, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()

    async def _stop(self, _request: Request, form: Form) -> Response:
        name = "".join(form.get("name", ()))
        self._runs.stop(name)
        return self._to(name)

    async def _resume(self, request: Request, form: Form) -> Response:
        name = "".join(form.get("name", ()))
        run = run_named(self._runs.directory, name)
        asked = request_from_json(run.request) if run.request else None
        if asked is None:
            raise Refused(
                409,
                "not_resumable_here",
                "a command began this run, and its journal does not have all of its options: run"
                f" the command again with --journal {run.directory}",
            )
        client = request.client.host if request.client else "an unknown address"
        return self._to(self._runs.resume(run, asked, client))

    def _to(self, name: str) -> Response:
        return RedirectResponse(self._renderer.link(RUN, name=name), status_code=303)

    def _values(self, shown: ShownRun) -> dict[str, Any]:
        words = list(words_of(shown.request)) if shown.request else _words(shown.run)
        return {"shown": shown, "run": shown.run, "words": words, "past": PAST}

    def _active(self, name: str) -> ActiveRun | None:
        active = self._runs.active
        return active if active is not None and active.name == name else None

    async def _shown(self, name: str) -> ShownRun:
        active = self._active(name)
        if active is not None and (active.running or not active.directory.exists()):
            return _from_active(active)
        run = run_named(self._runs.directory, name)
        return await _from_past(run, active)


def run_named(directory: Path, name: str) -> PastRun:
    """The run with the name of its directory.

    Raises:
        Refused: there is none.
    """
    plain = Path(name).name == name and "\x00" not in name and name not in ("", ".", "..")
    run = past_run(directory / name) if plain and len(name) <= 255 else None  # noqa: PLR2004 - of a file
    if run is None:
        raise Refused(
            404, "no_such_run", "there is no journal with this name in the console's directory"
        )
    return run


def _from_active(active: ActiveRun) -> ShownRun:
    phases = active.observed.phases
    phase = phases[-1] if phases else None
    run = PastRun(
        directory=active.directory,
        command=active.request.command,
        queue=active.queue,
        by=active.by,
        began_at=active.began_at,
        running=active.running,
    )
    state = "running" if active.running else "failed"
    return ShownRun(
        run=run,
        request=active.request,
        state=state,
        sentence=_progress(active) if active.running else f"Failed: {active.problem}",
        done=phase.done if phase else None,
        total=phase.total if phase else None,
        phase=phase.what if phase else None,
        more=phase.more if phase else {},
        warnings=active.observed.warnings,
        result=None,
        client=active.client,
    )


def _progress(active: ActiveRun) -> str:
    """A sentence that changes at each tenth, so that a screen reader does not talk all the time."""
    if active.observed.stop.is_set():
        return "Stopping after the batch in flight"
    phases = active.observed.phases
    if not phases or not phases[-1].total:
        return f"The {active.request.command} is running"
    phase = phases[-1]
    tenth = min(10, 10 * phase.done // (phase.total or 1))
    if phase.what == EXAMINED:
        return f"The {active.request.command} looks at its snapshot: {tenth * 10} % examined"
    return f"The {active.request.command} is running: {tenth * 10} % done"


async def _from_past(run: PastRun, active: ActiveRun | None) -> ShownRun:
    result, done = run.result, None
    if result is not None:
        done = _int(result.get("done"))
    else:
        done = await asyncio.to_thread(done_in, run.directory)
    problem = active.problem if active else None
    return ShownRun(
        run=run,
        request=request_from_json(run.request) if run.request else None,
        state="failed" if problem else run.state,
        sentence=f"Failed: {problem}" if problem else summary_of(run),
        done=done,
        total=None,
        phase=None,
        more={},
        warnings=active.observed.warnings if active else (),
        result=result,
        client=active.client if active else None,
    )


def summary_of(run: PastRun) -> str:
    """One sentence about how a run ended, without a full stop."""
    result = run.result or {}
    done = f"{_int(result.get('done')):,} {PAST.get(run.command, 'done')}"
    skipped = result.get("skipped")
    left = sum(
        count
        for code, count in (skipped.items() if isinstance(skipped, dict) else ())
        if isinstance(count, int) and code in (result.get("reasons") or ())
    )
    sentences = {
        "running": f"The {run.command} is running",
        "unfinished": "It has not ended: its process was killed, and it can be resumed",
        "stopped": f"Stopped after {done}",
        "failed": f"Failed after {done}",
        "partial": f"{done}, {plural(left, 'dead letter')} left",
        "complete": done,
    }
    return sentences[run.state]


def _words(run: PastRun) -> list[tuple[str, str]]:
    """The options that its journal has, as pairs of a label and a text."""
    labels = {"names": "Event", "codes": "Code", "ids": "Ids", "sources": "Source"}
    found = []
    for name, value in run.options.items():
        if isinstance(value, list) and value:
            found.append((labels.get(name, name), ", ".join(map(str, value[:3]))))
        elif value not in (None, False, [], 5) or (name == "limit" and value is not None):
            found.append((labels.get(name, name.replace("_", " ")), str(value)))
    return found


def _int(value: Any) -> int:
    return value if isinstance(value, int) else 0
