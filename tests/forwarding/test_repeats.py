"""How often good events are sent to a destination that stores those before the first bad one.

`sent` is the mean number of requests with a good event, `stored` the mean number of times that the
destination stored one.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence
from random import Random

import pytest

from relay.forwarding.lanes import NO_LIMIT, GoodRun
from relay.model.event import Event
from relay.model.outcome import Delivered, Outcome, Reject
from tests.forwarding.scripted import Relay, event
from tests.forwarding.strict import Strict
from tests.forwarding.virtual_time import run

EVENTS = [f"e-{n:04}" for n in range(2_000)]
IN_FLIGHT = 400


class Counting(Strict):
    """Also counts how often it stored each event."""

    def __init__(self, bad: set[str]) -> None:
        super().__init__(bad)
        self.times_stored: Counter[str] = Counter()
        self.answer = self._count

    async def _count(self, events: Sequence[Event]) -> Sequence[Outcome]:
        bad = next((i for i, one in enumerate(events) if one.id in self.bad), len(events))
        self.times_stored.update(one.id for one in events[:bad])
        return await self.refuse(events)


async def submit(relay: Relay, names: Sequence[str]) -> dict[str, Outcome]:
    slots = asyncio.Semaphore(IN_FLIGHT)

    async def one(name: str) -> Outcome:
        async with slots:
            return await relay.forwarder.submit(event(name))

    return dict(zip(names, await asyncio.gather(*map(one, names)), strict=True))


@pytest.mark.parametrize(
    ("share", "stored", "sent"),
    [(0.0, 1.0, 1.0), (0.01, 1.5, 1.9), (0.1, 1.5, 2.0), (0.5, 1.5, 1.9)],
)
def test_a_good_event_is_sent_about_twice_however_many_others_are_refused(
    share: float, stored: float, sent: float
) -> None:
    async def main() -> None:
        chance = Random(7)
        destination = Counting({name for name in EVENTS if chance.random() < share})
        outcomes = await submit(Relay(destination), EVENTS)
        good = [name for name in EVENTS if name not in destination.bad]
        assert all(isinstance(outcomes[name], Delivered) for name in good)
        assert all(isinstance(outcomes[name], Reject) for name in destination.bad)
        requests = Counter(name for one in destination.requests for name in one.ids)
        assert sum(destination.times_stored[name] for name in good) / len(good) <= stored
        assert sum(requests[name] for name in good) / len(good) <= sent

    run(main)


def test_requests_are_full_again_after_some_without_a_refusal() -> None:
    async def main() -> None:
        chance = Random(7)
        destination = Strict({name for name in EVENTS if chance.random() < 0.5})
        relay = Relay(destination)
        await submit(relay, EVENTS)
        before = len(destination.requests)
        await submit(relay, [f"new-{n:04}" for n in range(2_000)])
        assert max(destination.sizes[before:]) == 100
        assert len(destination.requests) - before < 100

    run(main)


def test_a_single_refusal_is_forgotten_after_some_requests() -> None:
    good_run = GoodRun()
    good_run.refused(0)
    assert good_run.items < NO_LIMIT
    for _ in range(10):
        good_run.accepted(2)
    assert good_run.items == NO_LIMIT
