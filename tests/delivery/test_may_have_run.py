"""`may_have_run`: no dead letter claims that an event did not run although it did."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from random import Random

import pytest

from relay.delivery.dead_letter_copy import MAX_BYTES, DeadLetterCopy, NotStored
from relay.delivery.dead_lettering import DeadLettering
from relay.delivery.handler import Handler
from relay.delivery.opening import Opening
from relay.delivery.reject_guard import RejectGuard
from relay.delivery.retention import Retention
from relay.envelope import Rules, decode
from relay.forwarding import Forwarder
from relay.model.destination import BatchRefused, Limits, Unavailable
from relay.model.event import Event
from relay.model.message import Message
from relay.model.origin import ATTRIBUTE, Origin, unpack
from relay.model.outcome import Delivered, Outcome, Reject, Retry
from tests.forwarding.virtual_time import now, run

RETENTION = 4_000.0
OUTAGE = 1_500.0
"""When the last outage begins. It lasts until every message has expired."""
STATES = ("up", "up", "lost", "502", "down", "halted")


class FlakyDestination:
    """A destination that accepts, refuses, loses answers, and in the end is down."""

    limits = Limits(max_events=5)

    def __init__(self, random: Random, bad: set[str]) -> None:
        self._random = random
        self._bad = bad
        self.accepted: set[str] = set()

    async def send(self, events: Sequence[Event]) -> Sequence[Outcome]:
        await asyncio.sleep(self._random.choice([0, 0.01, 0.5, 5, 25]))
        state = self._random.choice(STATES) if now() < OUTAGE else "down"
        ids = [event.id for event in events]
        offenders = [index for index, one in enumerate(ids) if one in self._bad]
        if state in ("down", "halted"):
            setting = "RELAY_INNGEST_EVENT_KEY" if state == "halted" else None
            raise Unavailable(state, setting=setting, proven=True, not_accepted=True)
        if state == "502":
            raise Unavailable(state)
        self.accepted.update(ids[: offenders[0]] if offenders else ids)
        if state == "lost":
            raise Unavailable("no answer")
        if offenders and len(events) > 1:
            raise BatchRefused("bad", suspect=self._random.choice([offenders[0], None]))
        return [Reject("bad", "bad")] if offenders else [Delivered(one) for one in ids]


class MemoryStore:
    """A dead-letter queue that sometimes fails."""

    def __init__(self, random: Random) -> None:
        self._random = random
        self.copies: list[DeadLetterCopy] = []

    async def limit(self) -> int:
        return MAX_BYTES

    async def put(self, copy: DeadLetterCopy) -> None:
        await asyncio.sleep(0.1)
        if self._random.random() < 0.1:
            raise NotStored("later")
        self.copies.append(copy)


class World:
    """One relay, and messages whose deliveries are cut short, repeated or not acknowledged."""

    def __init__(self, seed: int) -> None:
        self._random = Random(seed)
        self._bodies = {f"m-{n}": self._body() for n in range(12)}
        ids = [one for message_id in self._bodies for one in self.ids(message_id)]
        bad = {one for one in ids if self._random.random() < 0.05}
        self.destination = FlakyDestination(self._random, bad)
        self.store = MemoryStore(self._random)
        self.outcomes: dict[str, Outcome] = {}
        self._handler = Handler(
            Opening(lambda message: decode(message, Rules())),
            Forwarder(self.destination, clock=now, random=self._random.random),
            DeadLettering(self.store, clock=now),
            guard=RejectGuard(enabled=False),
            retention=Retention(RETENTION, clock=now),
            clock=now,
        )

    def ids(self, message_id: str) -> list[str]:
        """The ids of the message's events."""
        count = len(self._bodies[message_id])
        return [f"{message_id}.{index}" for index in range(count)]

    def origins(self) -> list[Origin]:
        """The origin of each dead letter."""
        return [unpack(copy.attributes[ATTRIBUTE].value) for copy in self.store.copies]

    async def run(self) -> None:
        """Run until each message has been acknowledged."""
        ticking = asyncio.create_task(self._tick())
        await asyncio.gather(*(self._live(message_id) for message_id in self._bodies))
        ticking.cancel()
        await asyncio.sleep(60)  # for open requests to end
        assert self._handler.status.in_flight == 0

    def _body(self) -> list[dict[str, str]]:
        events = [{"name": "a/b"} for _ in range(self._random.choice([1, 1, 2, 4]))]
        return [*events, {}] if self._random.random() < 0.2 else events

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(30)
            self._handler.expire()

    async def _live(self, message_id: str) -> None:
        await asyncio.sleep(self._random.uniform(0, OUTAGE))
        sent, receives = now(), 0
        while message_id not in self.outcomes:
            assert now() - sent < RETENTION, "the queue has deleted it"
            receives += 1
            message = Message(
                body=json.dumps(self._bodies[message_id]).encode(),
                message_id=message_id,
                queue="q",
                receive_count=receives,
                sent_at=sent,
            )
            await self._deliver(message)
            await asyncio.sleep(self._random.choice([0, 1, 50]))

    async def _deliver(self, message: Message) -> None:
        """One receive: it may be posted twice and held for a while, and its delete may be lost."""
        posts = [
            asyncio.create_task(self._handler.handle(message))
            for _ in range(self._random.choice([1, 1, 2]))
        ]
        held, _ = await asyncio.wait(posts, timeout=self._random.choice([0.02, 1, 100, 500]))
        outcomes = [post.result() for post in held]
        for post in posts:
            post.cancel()
        await asyncio.gather(*posts, return_exceptions=True)
        settled = [outcome for outcome in outcomes if not isinstance(outcome, Retry)]
        if settled and self._random.random() < 0.7:
            self.outcomes[message.message_id] = settled[0]


@pytest.mark.parametrize("seed", range(40))
def test_no_dead_letter_claims_that_an_event_that_ran_did_not(seed: int) -> None:
    async def main() -> None:
        world = World(seed)
        await world.run()
        for message_id, end in world.outcomes.items():
            if isinstance(end, Delivered):
                assert world.destination.accepted.issuperset(world.ids(message_id))
        dead = [one for one in world.origins() if isinstance(world.outcomes[one.id], Reject)]
        assert {one.id for one in dead} == {
            message_id for message_id, end in world.outcomes.items() if isinstance(end, Reject)
        }
        for origin in dead:
            ids = world.ids(origin.id)
            pending = ids if origin.pending is None else [ids[index] for index in origin.pending]
            assert origin.may_have_run or world.destination.accepted.isdisjoint(pending)

    run(main)
