"""The page *Event*: everything that happened to one event, as a timeline."""

from __future__ import annotations

import json
import shlex
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypeAlias

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from relay.console.rendering import Renderer
from relay.ops.trace.timeline import TimelineEntry, Trace

PATH = "/event"

MAX_ID = 1_024
"""Characters of an id; longer ones are cut. SQS and Inngest have far shorter ones."""

TraceEvent: TypeAlias = Callable[[str, str | None], Awaitable[Trace]]
"""Traces the event with this id; its name is needed for the ledger unless another source has it."""

LinkTo: TypeAlias = Callable[[TimelineEntry], str | None]
"""The address of an entry's page in the orchestrator, None if there is none."""


class EventPage:
    """Traces an event by its id.

    Args:
        renderer: makes the pages.
        trace: traces an event; it changes nothing and receives nothing.
        link_to: finds the page of an entry in the orchestrator.
    """

    def __init__(self, renderer: Renderer, trace: TraceEvent, link_to: LinkTo) -> None:
        self._renderer = renderer
        self._trace = trace
        self._link_to = link_to

    def routes(self) -> Sequence[BaseRoute]:
        """The page."""
        return (Route(PATH, self._page, name="event"),)

    async def _page(self, request: Request) -> Response:
        ident = request.query_params.get("id", "").strip()[:MAX_ID]
        name = request.query_params.get("name", "").strip()[:MAX_ID] or None
        values: dict[str, Any] = {"trace": None}
        if ident:
            trace = await self._trace(ident, name)
            values = {
                "trace": trace,
                "first": next((one.at for one in trace.entries if one.at is not None), None),
                "details": _details,
                "link_to": self._link_to,
            }
        return self._renderer.page(
            "event.html",
            "event",
            ident=ident,
            name=name,
            command=shlex.join(["relay", "trace", ident, *(("--name", name) if name else ())]),
            **values,
        )


def _details(entry: TimelineEntry) -> str:
    """The fields of an entry, as JSON."""
    return json.dumps(dict(entry.details), indent=2, ensure_ascii=False, default=str)
