"""A self-hosted server on virtual time: what it stores, forgets at a restart, and answers."""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass

from relay.destinations.inngest.confirm import ConfirmedInngest
from relay.destinations.inngest.confirmations import Confirmations
from relay.destinations.inngest.earlier import Attempted, EarlierAttempts, not_attempted
from relay.destinations.inngest.read_back import PAGE, PageTooLarge, Stored
from relay.forwarding import Forwarder
from relay.forwarding.circuit_breaker import Backoff, Breaker
from relay.local.inngest.records import ulid
from relay.model.destination import BatchRefused, Limits, Unavailable
from relay.model.event import Event
from relay.model.outcome import Delivered, Outcome
from tests.forwarding.virtual_time import now

SEARCH_TIMEOUT = 15.0
REFUSES = Unavailable("refuses connections", proven=True, not_accepted=True, disconnected=True)
NO_READ = Unavailable("refuses connections", proven=True, disconnected=True)
BROKE = Unavailable("the connection broke", disconnected=True)
SLOW = Unavailable("127.0.0.1 gave no answer in 10 s when reading events back")
NO_ANSWER = Unavailable("gave no answer in 30 s")


@dataclass(frozen=True)
class Copy:
    """A stored copy of an event, readable from `at`."""

    internal_id: str
    name: str
    id: str
    at: float


class Server:
    """Runs an event unless it knows its id. A restart keeps what is stored, and no ids.

    Attributes:
        read_fault: raised by each read-back, after `read_delay` seconds.
        list_fault: raised by each listing only.
        send_fault: raised by each request; after the events were accepted if `loses_answers`.
        most: events on a page that is not too large to read.
    """

    def __init__(self, lag: float = 0.0) -> None:
        self.lag = lag
        self.copies: list[Copy] = []
        self.posts: list[list[str]] = []
        self.runs: Counter[str] = Counter()
        self.pages = 0
        self.read_fault: Unavailable | None = None
        self.list_fault: Unavailable | None = None
        self.read_delay = 0.01
        self.send_fault: Unavailable | BatchRefused | None = None
        self.loses_answers = False
        self.most = PAGE
        self.server_kind: str | None = "start"
        self._ids: set[str] = set()

    @property
    def limits(self) -> Limits:
        return Limits(max_events=100)

    def die(self) -> None:
        """Kill it: what is not stored yet is lost, and so is the memory of ids."""
        self.copies = [copy for copy in self.copies if copy.at <= now()]
        self.read_fault, self.send_fault = NO_READ, REFUSES
        self._ids.clear()
        self.loses_answers = False

    def heal(self) -> None:
        self.read_fault = self.send_fault = None
        self.read_delay = 0.01

    async def send(self, events: Sequence[Event]) -> Sequence[Outcome]:
        await asyncio.sleep(0.01)
        if self.send_fault is not None and not self.loses_answers:
            raise self.send_fault
        self.posts.append([event.id for event in events])
        copies = [self._accept(event) for event in events]
        if self.send_fault is not None:
            raise self.send_fault
        return [Delivered(copy.internal_id) for copy in copies]

    def _accept(self, event: Event) -> Copy:
        entropy = len(self.copies).to_bytes(10, "big")
        copy = Copy(ulid(int(now() * 1_000), entropy), event.name, event.id, now() + self.lag)
        self.copies.append(copy)
        self.runs[event.id] += event.id not in self._ids
        self._ids.add(event.id)
        return copy

    async def is_stored(self, internal_id: str) -> bool:
        await self._read()
        return any(one.internal_id == internal_id for one in self._readable())

    async def page(
        self, after: float, *, below: str = "", name: str = "", limit: int = PAGE
    ) -> Sequence[Stored]:
        await self._read()
        self.pages += 1
        if self.list_fault is not None:
            raise self.list_fault
        if limit > self.most:
            raise PageTooLarge
        ordered = sorted(self._readable(), key=lambda one: one.internal_id, reverse=True)
        return [
            Stored(one.internal_id, one.id, one.name)
            for one in ordered
            if one.at - self.lag >= after
            and (not below or one.internal_id < below)
            and one.name.startswith(name)
        ][:limit]

    async def _read(self) -> None:
        await asyncio.sleep(self.read_delay)
        if self.read_fault is not None:
            raise self.read_fault

    def _readable(self) -> list[Copy]:
        return [copy for copy in self.copies if copy.at <= now()]


def is_denied(server: Server) -> None:
    server.read_fault = Unavailable("401", setting="RELAY_INNGEST_SIGNING_KEY", proven=True)


async def lose_the_answer(server: Server, send: Callable[[], Awaitable[object]]) -> None:
    server.send_fault, server.read_fault, server.loses_answers = BROKE, NO_READ, True
    with contextlib.suppress(Unavailable):
        await send()
        raise AssertionError
    server.die()
    server.heal()


@contextlib.asynccontextmanager
async def confirming(
    server: Server, attempted: Attempted = not_attempted
) -> AsyncIterator[ConfirmedInngest]:
    async with Confirmations(server, deadline=60, clock=now) as confirmations:
        yield ConfirmedInngest(
            server,
            confirmations,
            server,
            search_timeout=SEARCH_TIMEOUT,
            earlier=EarlierAttempts(attempted),
            clock=now,
        )


@contextlib.asynccontextmanager
async def forwarding(server: Server) -> AsyncIterator[Forwarder]:
    async with confirming(server) as destination:
        breaker = Breaker(
            outage=Backoff(1.0, 20.0), halt=Backoff(30.0, 45.0), clock=now, random=lambda: 0.0
        )
        forwarder = Forwarder(destination, breaker=breaker, clock=now, random=lambda: 0.0)
        yield forwarder
        await forwarder.stop(1)
