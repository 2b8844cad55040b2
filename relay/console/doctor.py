"""The page *Doctor*: the findings of `relay doctor`, with what to do about each."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from relay.console.access import Access, Form
from relay.console.rendering import Renderer
from relay.ops.doctor.result import CheckResult, CheckStatus

PATH = "/doctor"

ORDER: tuple[CheckStatus, ...] = ("fail", "warn", "not checked", "ok")
"""What needs a person comes first."""


class DoctorPage:
    """Runs the checks when asked to.

    Args:
        access: makes the routes of forms.
        renderer: makes the pages.
        check: runs all checks, for pull mode or push mode; they change nothing.
    """

    def __init__(
        self,
        access: Access,
        renderer: Renderer,
        check: Callable[[bool], Awaitable[Sequence[CheckResult]]],
    ) -> None:
        self._access = access
        self._renderer = renderer
        self._check = check

    def routes(self) -> Sequence[BaseRoute]:
        """The page before and after the checks."""
        return (
            Route(PATH, self._page, name="doctor"),
            self._access.post(PATH, self._run, "run_doctor", changes=False),
        )

    async def _page(self, _request: Request) -> Response:
        return self._renderer.page("doctor.html", "doctor", results=None, pull=False)

    async def _run(self, _request: Request, form: Form) -> Response:
        pull = "pull" in form.get("mode", ())
        results = await self._check(pull)
        counts = Counter(result.status for result in results)
        return self._renderer.page(
            "doctor.html",
            "doctor",
            results=sorted(results, key=lambda result: ORDER.index(result.status)),
            counts=[(status, counts[status]) for status in ORDER if counts[status]],
            pull=pull,
            statement=lambda result: json.dumps(result.statement.document(), indent=2),
        )
