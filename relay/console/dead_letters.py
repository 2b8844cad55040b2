"""The pages *Dead letters*: the groups of a snapshot, and the dead letters of a group or search."""

from __future__ import annotations

import asyncio
import shlex
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

from starlette.datastructures import QueryParams
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import BaseRoute, Route

from relay.console.access import Access, Form
from relay.console.dead_letter_rows import Query, Totals
from relay.console.history import summary_of
from relay.console.rendering import Renderer
from relay.console.snapshots import Loaded, Snapshots
from relay.dlq.command_line import escape_pattern
from relay.dlq.past_runs import PastRun
from relay.dlq.pull import SHORTEST_LEASE, SLOWEST
from relay.dlq.snapshot import Head
from relay.dlq.statistics import NO_EVENT
from relay.ops.status import QueueStatus

PATH = "/dead-letters"

PAGE_SIZE = 50

MAX_GROUPS = 200
"""Groups on a page. With more, a search or another grouping says more than a longer list."""

GROUPINGS = {
    "reason": ("name", "code"),
    "source": ("source",),
    "hour": ("hour",),
    "shape": ("shape",),
}
"""The columns that each grouping of the page has in common, and in which order it offers them."""

RECEIVED_AT_ONCE = 10


def query_of(parameters: QueryParams) -> Query:
    """The query in the parameters of a page, where the text is `q`."""
    names = (one.name for one in fields(Query))
    found = {name: value for name in names if (value := parameters.get(name))}
    return Query(**{**found, "text": parameters.get("q", "")})


def parameters_of(query: Query) -> dict[str, str]:
    """The parameters of a page with this query."""
    given = query.given
    return {"q" if name == "text" else name: value for name, value in given.items()}


def command_of(subcommand: str, path: Path, query: Query | None = None) -> str:
    """The command that shows the same; what no option of it can say is left out."""
    words = ["relay", "dlq", *subcommand.split(), str(path)]
    for name in ("name", "code", "source"):
        value = getattr(query, name) if query else None
        if value and value != NO_EVENT:
            words += [f"--{name}", escape_pattern(value)]
    return shlex.join(words)


def redrive_command(query: Query) -> str | None:
    """The command that plans a redrive of exactly these; None if no filter of it says the same."""
    sayable = {"name", "code", "source"}
    if not query.given or not query.given.keys() <= sayable or NO_EVENT in query.given.values():
        return None
    options = [(f"--{name}", escape_pattern(value)) for name, value in query.given.items()]
    return shlex.join(["relay", "dlq", "redrive", *(word for pair in options for word in pair)])


class DeadLettersPage:
    """Shows the current snapshot, and takes a new one.

    Args:
        access: makes the routes of forms.
        renderer: makes the pages.
        snapshots: hold the current snapshot.
        queue: the dead-letter queue as it was last seen, for what a snapshot would cost.
        last_change: the last run that changed the queue of a snapshot after it was taken.
        clock: seconds since the epoch.
    """

    def __init__(
        self,
        access: Access,
        renderer: Renderer,
        snapshots: Snapshots,
        queue: Callable[[], Awaitable[QueueStatus | None]],
        last_change: Callable[[Head], PastRun | None],
        clock: Callable[[], float],
    ) -> None:
        self._access = access
        self._renderer = renderer
        self._snapshots = snapshots
        self._queue = queue
        self._last_change = last_change
        self._clock = clock

    def routes(self) -> Sequence[BaseRoute]:
        """The groups, a list, and the form for a new snapshot."""
        return (
            Route(PATH, self._groups, name="dead_letters"),
            Route(f"{PATH}/list", self._list, name="dead_letter_list"),
            # A receive, as by `relay dlq list` without a snapshot: nothing is sent or deleted.
            self._access.post(f"{PATH}/snapshot", self._take, "take_snapshot", changes=False),
        )

    async def _groups(self, request: Request) -> Response:
        query = query_of(request.query_params)
        by = request.query_params.get("by", "")
        by = by if by in GROUPINGS else "reason"
        loaded, values = self._snapshots.current, {}
        if loaded is not None:
            columns = GROUPINGS[by]
            groups, totals = await asyncio.gather(
                loaded.index.groups(columns, query, MAX_GROUPS),
                loaded.index.totals(query, self._clock()),
            )
            values = {
                "by": by,
                "columns": columns,
                "groups": groups,
                "totals": totals,
                "command": command_of("stats", loaded.path),
            }
        return await self._page("dead_letters.html", query, loaded, **values)

    async def _list(self, request: Request) -> Response:
        query, loaded = query_of(request.query_params), self._snapshots.current
        if loaded is None:
            return RedirectResponse(self._renderer.link(PATH), status_code=303)
        totals = await loaded.index.totals(query, self._clock())
        number, last = page_number(request.query_params.get("page", ""), totals)
        entries = await loaded.index.entries(
            query, offset=(number - 1) * PAGE_SIZE, limit=PAGE_SIZE
        )
        return await self._page(
            "dead_letter_list.html",
            query,
            loaded,
            entries=entries,
            totals=totals,
            number=number,
            last=last,
            command=command_of("list", loaded.path, query),
            redrive=redrive_command(query),
        )

    async def _take(self, _request: Request, _form: Form) -> Response:
        self._snapshots.take()
        return RedirectResponse(self._renderer.link(PATH), status_code=303)

    async def _page(
        self, template: str, query: Query, loaded: Loaded | None, **values: Any
    ) -> Response:
        change = await asyncio.to_thread(self._last_change, loaded.head) if loaded else None
        return self._renderer.page(
            template,
            "dead_letters",
            snapshot=loaded,
            change=change,
            changed=summary_of(change) if change else "",
            work=self._snapshots.work,
            problem=self._snapshots.problem,
            cost=snapshot_cost(await self._queue()),
            query=query,
            parameters=parameters_of(query),
            **values,
        )


def page_number(given: str, totals: Totals) -> tuple[int, int]:
    """The number of the page that was asked for, and that of the last one; they begin with 1."""
    last = max(1, -(-totals.count // PAGE_SIZE))
    wanted = (
        int(given) if given.isascii() and given.isdigit() and len(given) <= len("999999") else 1
    )
    return min(max(1, wanted), last), last


def snapshot_cost(queue: QueueStatus | None) -> dict[str, float] | None:
    """What a new snapshot would cost: messages, requests, and for how long they are hidden.

    None if the queue could not be read.
    """
    if queue is None:
        return None
    return {
        "messages": queue.visible,
        "requests": -(-queue.visible // RECEIVED_AT_ONCE),
        "seconds": SHORTEST_LEASE + queue.visible / SLOWEST,
    }
