"""The pages *Redrive*, *Drop* and *Restore*: what to do, what it would do, and the start."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from starlette.datastructures import QueryParams
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import BaseRoute, Route

from relay.console.access import Access, Form, Refused
from relay.console.history import RUN, run_named
from relay.console.rendering import Renderer
from relay.console.run_request import Command, RunRequest, options_of, words_of
from relay.console.runs import PlanEntry, Runs
from relay.console.selection import Choice, choice_of, filter_of, totals_of
from relay.console.snapshots import Loaded, Snapshots
from relay.dlq.failing import WOULD_BE_AMBIGUOUS, WOULD_FAIL
from relay.dlq.filters import Filter
from relay.dlq.plan import Plan

PLAN = "/plan"

CANARY = 5
"""The canary that the form suggests."""

MAX_GROUPS = 200

OPTIONS = ("canary", "rate", "limit", "edit", "rerun", "include_failing")


class ActionPages:
    """Plans and starts redrives, drops and restores.

    Args:
        access: makes the routes of forms.
        renderer: makes the pages.
        snapshots: hold the current snapshot.
        runs: make plans and runs.
        clock: seconds since the epoch.
    """

    def __init__(
        self,
        access: Access,
        renderer: Renderer,
        snapshots: Snapshots,
        runs: Runs,
        clock: Callable[[], float],
    ) -> None:
        self._access = access
        self._renderer = renderer
        self._snapshots = snapshots
        self._runs = runs
        self._clock = clock

    def routes(self) -> Sequence[BaseRoute]:
        """The forms, the plan that follows from them, and its start."""
        post = self._access.post
        return (
            Route("/redrive", self._redrive_form, name="redrive"),
            Route("/drop", self._drop_form, name="drop"),
            Route("/restore", self._restore_form, name="restore"),
            post("/redrive", self._plan_redrive, "plan_redrive", changes=False),
            post("/drop", self._plan_drop, "plan_drop", changes=False),
            post("/restore", self._plan_restore, "plan_restore", changes=False),
            Route(PLAN, self._plan, name="plan"),
            post(f"{PLAN}/start", self._start, "start_run"),
        )

    async def _redrive_form(self, request: Request) -> Response:
        return await self._form(request, "redrive")

    async def _drop_form(self, request: Request) -> Response:
        return await self._form(request, "drop")

    async def _form(self, request: Request, command: Command) -> Response:
        choice, loaded = choice_of(request.query_params), self._loaded()
        _check_choice(command, choice)
        totals = await totals_of(loaded.index, choice, self._clock())
        given = {name: request.query_params.get(name, "") for name in OPTIONS}
        if "canary" not in request.query_params:
            given["canary"] = str(CANARY)
        return self._renderer.page(
            f"{command}.html",
            "dead_letters",
            snapshot=loaded,
            totals=totals,
            parameters=choice.parameters,
            chosen=urlencode(choice.parameters),
            given=given,
        )

    async def _restore_form(self, request: Request) -> Response:
        name = request.query_params.get("run", "")
        run = run_named(self._runs.directory, name)
        return self._renderer.page("restore.html", "history", run=run, name=name)

    async def _plan_redrive(self, _request: Request, form: Form) -> Response:
        options = options_of(form)
        return self._begun(await self._request("redrive", form, **options))

    async def _plan_drop(self, _request: Request, form: Form) -> Response:
        return self._begun(await self._request("drop", form))

    async def _plan_restore(self, _request: Request, form: Form) -> Response:
        run = run_named(self._runs.directory, "".join(form.get("run", ())))
        return self._begun(RunRequest(command="restore", snapshot=run.backup))

    async def _request(self, command: Command, form: Form, **options: Any) -> RunRequest:
        # One encoded field: what a page shows of a text is not always the text.
        chosen = QueryParams("".join(form.get("chosen", ())))
        choice, loaded = choice_of(chosen), self._loaded()
        _check_choice(command, choice)
        filters, matching = await filter_of(loaded.index, choice, self._clock())
        if command == "drop" and filters == Filter():
            raise _nothing_chosen()
        path = _relative(loaded.path)
        return RunRequest(
            command=command, snapshot=path, filters=filters, matching=matching, **options
        )

    def _begun(self, request: RunRequest) -> Response:
        entry = self._runs.begin_plan(request)
        return RedirectResponse(self._renderer.link(PLAN, id=entry.id), status_code=303)

    async def _plan(self, request: Request) -> Response:
        entry = self._runs.plan(request.query_params.get("id", ""))
        if entry.run is not None:
            return RedirectResponse(self._renderer.link(RUN, name=entry.run), status_code=303)
        return self._renderer.page(
            "plan.html",
            "history" if entry.request.command == "restore" else "dead_letters",
            entry=entry,
            words=list(words_of(entry.request)),
            command=entry.request.command_line(),
            phase=entry.observed.phases[-1] if entry.observed.phases else None,
            **_plan_values(entry),
        )

    async def _start(self, request: Request, form: Form) -> Response:
        entry = self._runs.plan("".join(form.get("id", ())))
        self._check_confirmed(entry, form)
        client = request.client.host if request.client else "an unknown address"
        name = self._runs.start(entry, client)
        return RedirectResponse(self._renderer.link(RUN, name=name), status_code=303)

    def _check_confirmed(self, entry: PlanEntry, form: Form) -> None:
        """Refuse a drop without the queue's name."""
        queue = entry.planned.queue if entry.planned else None
        if entry.request.command == "drop" and "".join(form.get("confirm", ())).strip() != queue:
            raise Refused(
                422,
                "not_confirmed",
                f"nothing was dropped: type the name of the dead-letter queue, {queue}, to drop",
            )

    def _loaded(self) -> Loaded:
        if self._snapshots.current is None:
            raise Refused(
                409,
                "no_snapshot",
                "the console has no snapshot: take one on the page Dead letters",
            )
        return self._snapshots.current


def _check_choice(command: Command, choice: Choice) -> None:
    if command == "drop" and choice.everything:
        raise _nothing_chosen()


def _nothing_chosen() -> Refused:
    return Refused(
        422,
        "nothing_chosen",
        "choose a group or search first: nothing empties a whole queue",
    )


def _plan_values(entry: PlanEntry) -> dict[str, Any]:
    plan = entry.planned.plan if entry.planned else None
    if not isinstance(plan, Plan):
        return {"plan": plan, "outcome": {}, "groups": ()}
    return {"plan": plan, "outcome": _outcome(plan), "groups": plan.largest()[:MAX_GROUPS]}


def _outcome(plan: Plan) -> dict[str, int]:
    """How many would go which way: a prediction, `copies`, `left` or `skipped`."""
    predictions = sum((g.predictions for g in plan.groups.values()), Counter[Any]())
    failing = plan.skipped[WOULD_FAIL] + plan.skipped[WOULD_BE_AMBIGUOUS]
    return {
        **predictions,
        "copies": plan.duplicates,
        "left": failing,
        "skipped": plan.skipped.total() - failing,
    }


def _relative(path: Path) -> Path:
    """The path as a command in the current directory names it."""
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path
