"""A scripted destination that records its requests, and a forwarder on virtual time."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from relay.forwarding import Forwarder
from relay.model.destination import Limits, Unavailable
from relay.model.event import Event
from relay.model.facts import CircuitChanged, Fact, Forwarded
from relay.model.outcome import Delivered, Outcome
from tests.forwarding.virtual_time import now

LATENCY = 0.02


def event(name: str) -> Event:
    return Event(id=name, name="app/happened", data=b"{}")


@dataclass(frozen=True)
class Request:
    at: float
    ids: tuple[str, ...]


@dataclass(frozen=True)
class Failure:
    """How a request fails: after `seconds` with this error."""

    error: Callable[[], Exception]
    seconds: float = LATENCY


def forbidden() -> Exception:
    return Unavailable("403", setting="RELAY_INNGEST_EVENT_KEY", not_accepted=True)


def html() -> Exception:
    return Unavailable("200 with HTML", setting="RELAY_INNGEST_URL")


def bad_gateway() -> Exception:
    return Unavailable("502")


def timeout() -> Exception:
    return Unavailable("no answer within 30 s")


def refused_connection() -> Exception:
    return Unavailable("connection refused", proven=True, not_accepted=True)


def key_not_found() -> Exception:
    return Unavailable("401", setting="RELAY_INNGEST_EVENT_KEY", proven=True, not_accepted=True)


POISONS = {
    "403": Failure(forbidden),
    "HTML": Failure(html),
    "502": Failure(bad_gateway),
    "nothing at all": Failure(timeout, 30.0),
}


class Scripted:
    """Accepts every event except poison, while it is up.

    Every request fails with `down`, and a request that contains an event of `poison` fails with
    that event's failure. `answer` replaces all of this.
    """

    def __init__(self, *, max_events: int = 100) -> None:
        self._limits = Limits(max_events=max_events)
        self.requests: list[Request] = []
        self.accepted: set[str] = set()
        self.down: Failure | None = None
        self.poison: dict[str, Failure] = {}
        self.answer: Callable[[Sequence[Event]], Awaitable[Sequence[Outcome]]] = self.honest
        self.running = 0

    @property
    def limits(self) -> Limits:
        return self._limits

    @property
    def sizes(self) -> list[int]:
        return [len(request.ids) for request in self.requests]

    async def send(self, events: Sequence[Event]) -> Sequence[Outcome]:
        self.requests.append(Request(now(), tuple(e.id for e in events)))
        self.running += 1
        try:
            return await self.answer(events)
        finally:
            self.running -= 1

    async def honest(self, events: Sequence[Event]) -> Sequence[Outcome]:
        failures = [self.poison[e.id] for e in events if e.id in self.poison]
        failure = self.down or (failures[0] if failures else None)
        if failure is not None:
            await asyncio.sleep(failure.seconds)
            raise failure.error()
        await asyncio.sleep(LATENCY)
        self.accepted.update(e.id for e in events)
        return [Delivered(f"ref-{e.id}") for e in events]


class Relay:
    """A forwarder on virtual time and the facts it reported."""

    def __init__(
        self,
        destination: Scripted,
        before_probe: Callable[[], None] = lambda: None,
        *,
        hold: bool = True,
    ) -> None:
        async def hook() -> None:
            before_probe()

        self.facts: list[Fact] = []
        self._changed = asyncio.Event()
        self.forwarder = Forwarder(
            destination,
            before_probe=hook,
            hold=hold,
            observe=self._observe,
            clock=now,
            random=lambda: 0.5,
        )

    def _observe(self, fact: Fact) -> None:
        self.facts.append(fact)
        if isinstance(fact, CircuitChanged):
            self._changed.set()

    async def change(self) -> CircuitChanged:
        """The next change of the circuit."""
        self._changed.clear()
        await self._changed.wait()
        return self.changes[-1]

    @property
    def changes(self) -> list[CircuitChanged]:
        return [fact for fact in self.facts if isinstance(fact, CircuitChanged)]

    @property
    def forwarded(self) -> list[Forwarded]:
        return [fact for fact in self.facts if isinstance(fact, Forwarded)]

    def submit(self, *names: str) -> list[asyncio.Task[Outcome]]:
        return [asyncio.create_task(self.forwarder.submit(event(name))) for name in names]
