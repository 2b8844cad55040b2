"""Fault injection for the event API, and the endpoints that tests use to control the server."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, TypeAlias

import msgspec

from relay.local.inngest.records import Function, Run, StoredEvent
from relay.local.inngest.request import HTML, JSON, TEXT, End, Reply, Request, as_json


class Fault(msgspec.Struct, frozen=True, kw_only=True):
    """What happens to one request.

    | effect | fault |
    |---|---|
    | connection closed before anything is read | `end="refuse"`, whatever the rule's conditions |
    | reset or close, nothing accepted | `accept=0, end="reset"` or `"close"` |
    | accepted, then no response | `end="reset"` or `"close"` |
    | slow response | `delay=30.0` |
    | body cut in half | `end="cut"` |
    | any response, nothing accepted | `accept=0, status=429, headers={"Retry-After": "3"}` |
    | any response, all accepted | `status=502` |
    | HTML with 200 | `accept=0, status=200, body="<html>…"` |
    | a prefix accepted, a different one reported | `accept=3, claim=1, status=400, error="…"` |
    | acknowledged and lost | `forget=True` |

    Attributes:
        accept: how many valid events of the request are accepted, from the first; None for all.
        forget: accepted events are acknowledged and lost.
        delay: seconds on the server's clock between accepting and responding.
        end: how the response ends.
        status: of the response; None keeps the server's own response.
        headers: added to those of the response.
        body: of the response, verbatim.
        claim: without a body, the response lists this many ids, the real ones first.
        error: without a body, the response's `error`.
    """

    accept: int | None = None
    forget: bool = False
    delay: float = 0.0
    end: End = "answer"
    status: int | None = None
    headers: Mapping[str, str] = msgspec.field(default_factory=dict)
    body: str | None = None
    claim: int | None = None
    error: str | None = None


def apply_fault(reply: Reply, fault: Fault) -> Reply:
    """The reply with the fault's status, headers, body and end.

    With a body of its own it is not the server's answer, and has none of its headers.
    """
    if fault.body is not None:
        content_type = HTML if fault.body.startswith("<") else TEXT
        reply = Reply(reply.status, fault.body.encode(), content_type)
    headers = {**reply.headers, **fault.headers}
    return replace(reply, status=fault.status or reply.status, headers=headers, end=fault.end)


class Rule(msgspec.Struct, frozen=True, kw_only=True):
    """A fault and the requests that it applies to.

    Attributes:
        fault: what happens to them.
        times: to how many of them; None for all.
        ids: only requests that contain one of these event ids; empty for any.
        names: only requests that contain an event with one of these names; empty for any.
        path: only requests whose path starts with this.
        env: only requests for this environment (`x-inngest-env`); None for any.
    """

    fault: Fault
    times: int | None = 1
    ids: frozenset[str] = frozenset()
    names: frozenset[str] = frozenset()
    path: str = "/e/"
    env: str | None = None

    def matches(self, request: Request) -> bool:
        """Whether the rule applies to this request."""
        return (
            request.path.startswith(self.path)
            and (self.env is None or request.headers.get("x-inngest-env") == self.env)
            and (not self.ids or not self.ids.isdisjoint(request.ids))
            and (not self.names or not self.names.isdisjoint(request.names))
        )


Faults: TypeAlias = Callable[[Request], Fault | None]
"""Called for each request, whose ids and names are parsed; None means no fault."""


@dataclass
class FaultScript:
    """Rules in order; the first that matches a request and is not used up decides."""

    rules: list[Rule] = field(default_factory=list)

    def add(self, *rules: Rule) -> None:
        """Append rules."""
        self.rules.extend(rules)

    def clear(self) -> None:
        """Remove all rules."""
        self.rules.clear()

    def __call__(self, request: Request) -> Fault | None:
        """The fault for this request, if any; counts as one use of its rule."""
        return self._take(
            rule for rule in self.rules if rule.fault.end != "refuse" and rule.matches(request)
        )

    def refuses(self) -> bool:
        """Whether to close the connection that was just opened, unread."""
        return self._take(rule for rule in self.rules if rule.fault.end == "refuse") is not None

    def _take(self, rules: Iterable[Rule]) -> Fault | None:
        rule = next(iter(rules), None)
        if rule is None:
            return None
        if rule.times is not None:
            at = self.rules.index(rule)
            left = msgspec.structs.replace(rule, times=rule.times - 1)
            self.rules[at : at + 1] = [left] if left.times else []
        return rule.fault


class Control:
    """The control endpoints, `/_…`.

    Args:
        script: the faults to set and list.
        functions: the current list, changed in place.
        runs: returns every run so far.
        events: returns every stored event, and how often each id was acknowledged.
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
        """The reply; None for any other path."""
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
