"""A table in memory with scripted failures, and an orchestrator that forgets ids after a day."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from relay.aws.errors import AwsError
from relay.delivery.ledger import Attempts, Ledger, LedgerEntries, RecordingDestination, TableAccess
from relay.delivery.ledger.table import KEY, Item
from relay.forwarding import Forwarder
from relay.model.destination import Limits, Unavailable
from relay.model.event import Event
from relay.model.facts import Fact
from relay.model.outcome import Delivered, Outcome
from tests.forwarding.virtual_time import now

HOUR = 3_600.0
DAY = 24 * HOUR
KEPT = 27 * DAY


def event(name: str = "e", *, data: bytes = b'{"n":1}', message_id: str = "m") -> Event:
    return Event(id=name, name="app/happened", data=data, message_id=message_id)


def denied() -> AwsError:
    return AwsError("AccessDeniedException", "denied", "dynamodb:BatchGetItem is not permitted")


def throttled() -> AwsError:
    return AwsError("ThrottlingException", "throttled", "AWS throttles the table")


@dataclass
class MemoryTable:
    """`failures` returns an exception for a call, a number of unprocessed keys, or None."""

    items: dict[str, Item] = field(default_factory=dict)
    reads: list[tuple[str, ...]] = field(default_factory=list)
    writes: list[tuple[str, ...]] = field(default_factory=list)
    failures: Callable[[str], Exception | int | None] = lambda _call: None
    seconds: float = 0.005

    async def read(self, keys: Sequence[str]) -> tuple[Sequence[Item], Sequence[str]]:
        self.reads.append(tuple(keys))
        assert len(set(keys)) == len(keys) <= 100
        done, left = await self._fail("read", keys)
        return [self.items[key] for key in done if key in self.items], left

    async def write(self, items: Sequence[Item], deletes: Sequence[str]) -> Sequence[str]:
        by_key = {str(item[KEY]): item for item in items}
        keys = [*by_key, *deletes]
        self.writes.append(tuple(keys))
        assert len(set(keys)) == len(items) + len(deletes) <= 25
        done, left = await self._fail("write", keys)
        for key in done:
            if key in by_key:
                self.items[key] = by_key[key]
            else:
                self.items.pop(key, None)
        return left

    async def _fail(self, call: str, keys: Sequence[str]) -> tuple[Sequence[str], Sequence[str]]:
        failure = self.failures(call)
        await asyncio.sleep(self.seconds)
        if isinstance(failure, TimeoutError):
            await asyncio.sleep(60)
        if isinstance(failure, Exception):
            raise failure
        done = len(keys) - min(failure or 0, len(keys))
        return keys[:done], keys[done:]

    def steps(self) -> Counter[str]:
        return Counter(key.partition("#")[0] for key in self.items)


@dataclass
class Orchestrator:
    """Runs an event at most once a day. `script` has the end of each request, "ok" by default."""

    script: Iterator[str] = field(default_factory=lambda: iter(()))
    runs: Counter[str] = field(default_factory=Counter)
    posts: list[tuple[str, ...]] = field(default_factory=list)
    seen: dict[str, float] = field(default_factory=dict)
    limits: Limits = field(default_factory=Limits)
    answer: Callable[[Sequence[Event]], Sequence[Outcome]] | None = None

    async def send(self, events: Sequence[Event]) -> Sequence[Outcome]:
        self.posts.append(tuple(e.id for e in events))
        await asyncio.sleep(0.02)
        ending = next(self.script, "ok")
        if ending == "refused":
            raise Unavailable("connection refused", after=300, proven=True, not_accepted=True)
        if ending != "request_lost":
            for each in events:
                self._run(each.id)
        if ending in ("request_lost", "answer_lost"):
            raise Unavailable("no answer", proven=True)
        if self.answer is not None:
            return self.answer(events)
        return [Delivered(f"ref-{e.id}") for e in events]

    def _run(self, name: str) -> None:
        if now() - self.seen.get(name, -DAY) >= DAY:
            self.seen[name] = now()
            self.runs[name] += 1


class RelayWithLedger:
    """A relay with a ledger, from its start to its crash. The table outlives it."""

    def __init__(
        self, table: MemoryTable, orchestrator: Orchestrator, memory: float = 23 * HOUR
    ) -> None:
        self.facts: list[Fact] = []
        self.entries = LedgerEntries(
            table,
            TableAccess(observe=self.facts.append, clock=now, random=lambda: 0.5),
            destination="inngest https://inn.gs",
            environment="",
            kept=KEPT,
            observe=self.facts.append,
            clock=now,
        )
        attempts = Attempts()
        self.forwarder = Forwarder(
            RecordingDestination(orchestrator, self.entries, attempts, clock=now),
            clock=now,
            random=lambda: 0.5,
        )
        self.ledger = Ledger(
            self.forwarder,
            self.entries,
            attempts,
            memory=lambda _event: memory,
            observe=self.facts.append,
            clock=now,
        )

    def of(self, kind: type) -> list[Fact]:
        return [fact for fact in self.facts if isinstance(fact, kind)]

    async def crash(self) -> None:
        """Stop without settling anything."""
        await self.forwarder.stop(0)
        await self.entries.aclose()
