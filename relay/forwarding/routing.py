"""Routing: which destination an event goes to, and how much an outage of one may hold up."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from fnmatch import translate
from typing import Protocol

from relay.forwarding import ForwarderState
from relay.model.event import Event
from relay.model.outcome import Outcome, Reject, Retry

NO_ROUTE = "no_route"

_WORSE = ("closed", "half-open", "open", "halted")


@dataclass(frozen=True, slots=True)
class Route:
    """Events whose names fit `pattern` (`*` and `?` as in file names) go to `destination`."""

    pattern: str
    destination: str


def parse_routes(texts: Sequence[str]) -> tuple[Route, ...]:
    """The routes in texts such as `order/*=temporal`.

    Raises:
        ValueError: one of them is none.
    """
    routes = []
    for text in texts:
        pattern, found, destination = (part.strip() for part in text.rpartition("="))
        if not found or not pattern or not destination:
            raise ValueError("not a route such as order/*=temporal")
        routes.append(Route(pattern, destination))
    return tuple(routes)


class RouteTable:
    """Finds the destination for a name; the first route that fits decides, letters' case counts."""

    def __init__(self, routes: Sequence[Route]) -> None:
        self._routes = [(re.compile(translate(r.pattern)), r.destination) for r in routes]

    def find(self, name: str) -> str | None:
        """The destination's name, None where no route fits."""
        return next((to for pattern, to in self._routes if pattern.match(name)), None)


class Branch(Protocol):
    """A forwarder to one destination, as far as routing asks it."""

    @property
    def state(self) -> ForwarderState:
        """What a person should know now."""
        ...

    @property
    def accepting(self) -> bool:
        """Whether its way is free, or needs one message to be tried with."""
        ...

    async def wait_accepting(self) -> None:
        """Return when it is."""
        ...

    async def submit(self, event: Event) -> Outcome:
        """The event's outcome, after as many attempts as it takes."""
        ...

    def may_have_run(self, event_id: str) -> bool:
        """Whether its destination may hold the event although no success was seen."""
        ...

    async def stop(self, deadline: float) -> None:
        """Start nothing new and let what is on the wire finish."""
        ...


class Router:
    """One forwarder out of several, each for the events of its own routes.

    While one destination is unavailable its events wait as ever, up to a bound, lest they fill all
    the room that the others' events need. Those past it are given back to the queue.

    Args:
        table: which destination an event goes to.
        branches: a forwarder for each destination's name.
        held: most events that may wait for a destination whose way is not free.
        release: seconds asked of the queue for what is past that.
        delay: seconds to wait before it is given back, for a source that brings it again at once.
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
        self._inside = dict.fromkeys(branches, 0)

    async def submit(self, event: Event) -> Outcome:
        """The event's outcome at its destination; `Reject` where no route fits."""
        name = self._table.find(event.name)
        if name is None:
            return Reject(NO_ROUTE, f"no route fits an event of the name {event.name[:200]!r}")
        branch = self._branches[name]
        if not branch.accepting and self._inside[name] >= self._held:
            await self._sleep(self._delay)
            return Retry(f"{name} is unavailable and enough waits for it", self._release)
        self._inside[name] += 1
        try:
            return await branch.submit(event)
        finally:
            self._inside[name] -= 1

    def may_have_run(self, event_id: str) -> bool:
        """Whether a destination may hold the event although no success was seen."""
        return any(branch.may_have_run(event_id) for branch in self._branches.values())

    @property
    def state(self) -> ForwarderState:
        """The state of the destination that is worst off, with its name in the reason."""
        states = {name: branch.state for name, branch in self._branches.items()}
        worst = max(states, key=lambda name: _WORSE.index(states[name].circuit))
        reason = states[worst].reason and f"{worst}: {states[worst].reason}"
        in_hand = sum(state.in_hand for state in states.values())
        return replace(states[worst], reason=reason, in_hand=in_hand)

    @property
    def accepting(self) -> bool:
        """Whether new messages should be taken: as long as any destination can be reached."""
        return any(branch.accepting for branch in self._branches.values())

    async def wait_accepting(self) -> None:
        """Return when new messages should be taken."""
        waiting = [asyncio.ensure_future(b.wait_accepting()) for b in self._branches.values()]
        try:
            await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for one in waiting:
                one.cancel()
            await asyncio.gather(*waiting, return_exceptions=True)

    async def stop(self, deadline: float) -> None:
        """Stop all of them at once."""
        await asyncio.gather(*(branch.stop(deadline) for branch in self._branches.values()))
