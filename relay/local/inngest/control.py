"""`/_…`: what a test in another process may ask and set; the real server has none of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from relay.local.inngest.exchange import JSON, Reply, Request, as_json
from relay.local.inngest.fault import FaultScript, Rule
from relay.local.inngest.records import Function, Run, StoredEvent


class Control:
    """Answers the server's own endpoints.

    Args:
        script: the faults that can be set.
        functions: the current list, changed in place.
        runs: tells every run so far.
        events: tells every stored event and how often each id was acknowledged.
    """

    def __init__(
        self,
        script: FaultScript,
        functions: list[Function],
        runs: Callable[[], list[Run]],
        events: Callable[[], tuple[list[StoredEvent], dict[str, int]]],
    ) -> None:
        self._script = script
        self._functions = functions
        self._runs = runs
        self._events = events

    def answer(self, request: Request) -> Reply | None:
        """The reply; None for a path that is none of its own."""
        route = {
            ("GET", "/_runs"): self._list_runs,
            ("GET", "/_events"): self._list_events,
            ("GET", "/_faults"): self._list_faults,
            ("POST", "/_faults"): self._add_faults,
            ("DELETE", "/_faults"): self._clear_faults,
            ("GET", "/_functions"): self._list_functions,
            ("POST", "/_functions"): self._set_functions,
        }.get((request.method, request.path))
        if route is None:
            return None
        try:
            return as_json(route(request.body), content_type=JSON)
        except msgspec.MsgspecError as error:
            return as_json({"error": str(error)}, 400, JSON)

    def _list_runs(self, _: bytes) -> Any:
        return {"runs": self._runs()}

    def _list_events(self, _: bytes) -> Any:
        stored, acknowledged = self._events()
        return {"stored": stored, "acknowledged": acknowledged}

    def _list_faults(self, _: bytes) -> Any:
        return {"faults": self._script.rules}

    def _add_faults(self, body: bytes) -> Any:
        self._script.add(*msgspec.json.decode(body, type=list[Rule]))
        return self._list_faults(b"")

    def _clear_faults(self, _: bytes) -> Any:
        self._script.clear()
        return self._list_faults(b"")

    def _list_functions(self, _: bytes) -> Any:
        return {"functions": self._functions}

    def _set_functions(self, body: bytes) -> Any:
        self._functions[:] = msgspec.json.decode(body, type=list[Function])
        return self._list_functions(b"")
