"""Faults of the event API, told per request, and the script that decides which request gets one."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

import msgspec

from relay.local.inngest.exchange import HTML, TEXT, End, Reply, Request


class Fault(msgspec.Struct, frozen=True, kw_only=True):
    """What happens to one request instead of the usual.

    | wanted | fault |
    |---|---|
    | connection closed before anything is read | `end="refuse"`, whatever the rule |
    | reset or close, nothing accepted | `accept=0, end="reset"` or `"close"` |
    | accepted, then no answer | `end="reset"` or `"close"` |
    | slow answer | `delay=30.0` |
    | cut body | `end="cut"` |
    | any answer, nothing accepted | `accept=0, status=429, headers={"Retry-After": "3"}` |
    | any answer, all accepted | `status=502` |
    | HTML with 200 | `accept=0, status=200, body="<html>…"` |
    | a prefix accepted, another one told | `accept=3, claim=1, status=400, error="…"` |
    | acknowledged and forgotten | `forget=True` |

    Attributes:
        accept: how many valid events of the request are accepted, from the first; None for all.
        forget: accepted events are acknowledged and lost.
        delay: seconds on the server's clock between accepting and answering.
        end: how the exchange ends.
        status: of the answer; None leaves the server's own answer as it is.
        headers: added to the answer's.
        body: of the answer, as it is.
        claim: without a body, the answer lists this many ids, true ones first.
        error: without a body, the answer's `error`.
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


def spoiled(reply: Reply, fault: Fault) -> Reply:
    """The reply as the fault wants it."""
    content_type, body = reply.content_type, reply.body
    if fault.body is not None:
        body = fault.body.encode()
        content_type = HTML if fault.body.startswith("<") else TEXT
    headers = {**reply.headers, **fault.headers}
    return Reply(fault.status or reply.status, body, content_type, headers, fault.end)


class Rule(msgspec.Struct, frozen=True, kw_only=True):
    """A fault and the requests that it is for.

    Attributes:
        fault: what happens to them.
        times: to how many of them, None for all.
        ids: only requests that carry one of these event ids; none given, any.
        names: only requests that carry an event of one of these names; none given, any.
        path: only requests whose path starts so.
    """

    fault: Fault
    times: int | None = 1
    ids: frozenset[str] = frozenset()
    names: frozenset[str] = frozenset()
    path: str = "/e/"

    def matches(self, request: Request) -> bool:
        """Whether the request is one that the rule is for."""
        return (
            request.path.startswith(self.path)
            and (not self.ids or not self.ids.isdisjoint(request.ids))
            and (not self.names or not self.names.isdisjoint(request.names))
        )


Faults: TypeAlias = Callable[[Request], Fault | None]
"""Asked for each request with its parsed ids and names; None lets it through."""


@dataclass
class FaultScript:
    """Rules in order; the first that matches a request and is not used up decides."""

    rules: list[Rule] = field(default_factory=list)

    def add(self, *rules: Rule) -> None:
        """Append rules."""
        self.rules.extend(rules)

    def clear(self) -> None:
        """Forget all rules."""
        self.rules.clear()

    def __call__(self, request: Request) -> Fault | None:
        """The fault for this request, used up by one."""
        return self._take(
            rule for rule in self.rules if rule.fault.end != "refuse" and rule.matches(request)
        )

    def refuses(self) -> bool:
        """Whether the connection that was just opened is to be closed unread."""
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
