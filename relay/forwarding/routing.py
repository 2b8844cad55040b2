"""Routing: sends each event to the destination of its name, and bounds what one outage holds."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from fnmatch import translate
from typing import Protocol

from relay.forwarding import ForwarderState
from relay.forwarding.undelivered import Stuck
from relay.model.destination import Listener
from relay.model.event import Event
from relay.model.outcome import Outcome, Reject, Retry

NO_ROUTE = "no_route"

_SEVERITY = ("closed", "half-open", "open", "halted")


@dataclass(frozen=True, slots=True)
class Route:
    """Events whose names match `pattern` (`*` and `?` as in file names) go to `destination`."""

    pattern: str
    destination: str


def parse_routes(texts: Sequence[str]) -> tuple[Route, ...]:
    """The routes in texts such as `order/*=temporal`.

    Raises:
        ValueError: a text is not a route.
    """
    routes = []
    for text in texts:
        pattern, found, destination = (part.strip() for part in text.rpartition("="))
        if not found or not pattern or not destination:
            raise ValueError("not a route such as order/*=temporal")
        routes.append(Route(pattern, destination))
    return tuple(routes)


class RouteTable:
    """Finds the destination of an event's name: the first matching route decides, by exact case."""

    def __init__(self, routes: Sequence[Route]) -> None:
        self._routes = [(re.compile(translate(r.pattern)), r.destination) for r in routes]

    def find(self, name: str) -> str | None:
        """The destination's name, None if no route matches."""
        return next((to for pattern, to in self._routes if pattern.match(name)), None)


class Branch(Protocol):
    """A forwarder to one destination, as far as routing needs it."""

    @property
    def state(self) -> ForwarderState:
        """The state for operators."""
        ...

    def stuck(self, after: float) -> Stuck | None:
        """Which events have failed for `after` seconds while its circuit was closed, if any."""
        ...

    @property
    def accepting(self) -> bool:
        """Whether its circuit is closed, or one message is needed for a probe."""
        ...

    @property
    def down(self) -> bool:
        """Whether its circuit is not closed."""
        ...

    async def wait_accepting(self) -> None:
        """Return when it is accepting."""
        ...

    async def submit(self, event: Event) -> Outcome:
        """The event's outcome, after as many attempts as it takes."""
        ...

    def may_have_run(self, event_id: str) -> bool:
        """Whether its destination may hold the event although no success was seen."""
        ...

    async def stop(self, deadline: float) -> None:
        """Start no request and let those on the wire finish."""
        ...


class Router:
    """A forwarder to several destinations, with one forwarder for each.

    While a destination is unavailable its events are held, up to a limit, so that they leave
    capacity for the events of the other destinations. Events past the limit go back to the queue.

    Args:
        table: the destination of each event name.
        branches: a forwarder for each destination's name.
        held: the most events held for an unavailable destination.
        release: seconds of visibility requested from the queue for events past that limit.
        delay: seconds to wait before an event goes back, for a source that would send it again at
            once.
        sleep: waits for `delay`.
    """

    def __init__(
        self,
        table: RouteTable,
        branches: Mapping[str, Branch],
        *,
        held: int,
        release: float,
        delay: float = 0.0,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._table = table
        self._branches = branches
        self._held = held
        self._release = release
        self._delay = delay
        self._sleep = sleep
        self._in_flight = dict.fromkeys(branches, 0)

    async def submit(self, event: Event) -> Outcome:
        """The event's outcome at its destination; `Reject` if no route matches its name."""
        name = self._table.find(event.name)
        if name is None:
            return Reject(NO_ROUTE, f"no route matches the event name {event.name[:200]!r}")
        branch = self._branches[name]
        if not branch.accepting and self._in_flight[name] >= self._held:
            await self._sleep(self._delay)
            return Retry(f"{name} is unavailable and holds enough events", self._release)
        self._in_flight[name] += 1
        try:
            return await branch.submit(event)
        finally:
            self._in_flight[name] -= 1

    def begin(self, event: Event, listener: Listener) -> None:
        """Nothing: each event has to be submitted, where those in flight are counted."""

    def may_have_run(self, event_id: str) -> bool:
        """Whether a destination may hold the event although no success was seen."""
        return any(branch.may_have_run(event_id) for branch in self._branches.values())

    @property
    def state(self) -> ForwarderState:
        """The state of the destination with the worst circuit, with its name in the reason."""
        states = {name: branch.state for name, branch in self._branches.items()}
        worst = max(states, key=lambda name: _SEVERITY.index(states[name].circuit))
        reason = states[worst].reason and f"{worst}: {states[worst].reason}"
        in_flight = sum(state.in_flight for state in states.values())
        return replace(states[worst], reason=reason, in_flight=in_flight)

    def stuck(self, after: float) -> Stuck | None:
        """The first destination that is stuck, with its name in the reason."""
        for name, branch in self._branches.items():
            if (found := branch.stuck(after)) is not None:
                return replace(found, reason=f"{name}: {found.reason}")
        return None

    @property
    def accepting(self) -> bool:
        """Whether new messages should be taken: while any destination is accepting."""
        return any(branch.accepting for branch in self._branches.values())

    @property
    def down_for(self) -> float:
        """Seconds for which no event can be sent to any destination; 0 if one can."""
        if self.accepting:
            return 0.0
        return min(branch.state.seconds for branch in self._branches.values())

    @property
    def down(self) -> bool:
        """Whether every destination is unavailable: an event can be sent as a probe at most."""
        return all(branch.down for branch in self._branches.values())

    async def wait_accepting(self) -> None:
        """Return when new messages should be taken."""
        waits = [asyncio.ensure_future(b.wait_accepting()) for b in self._branches.values()]
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()
            await asyncio.gather(*waits, return_exceptions=True)

    async def stop(self, deadline: float) -> None:
        """Stop all forwarders at the same time."""
        await asyncio.gather(*(branch.stop(deadline) for branch in self._branches.values()))
